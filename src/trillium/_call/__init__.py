"""One request, on trio: through admission, attempts and retries to its outcome."""
