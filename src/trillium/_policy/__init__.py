"""Decisions, sans-io: events and time in, decisions out.

The clock and the dice are arguments; nothing here waits, sends or logs.
"""
