"""Clients that keep rate limits, each in its own way; `benchmarks.limited_client` runs one.

A module has a function `run(work, start)`: it prepares, calls `start`, asks all prompts of the
work, and returns how many were answered.
"""
