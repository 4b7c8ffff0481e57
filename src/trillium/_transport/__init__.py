"""Bytes, on trio: connections and their pool, TLS, and the ways to and from httpx.

Nothing here knows of prompts, retries or money; httpx is imported in this folder alone.
"""
