"""Many requests, on trio: where they come from, the run, and where their outcomes go."""
