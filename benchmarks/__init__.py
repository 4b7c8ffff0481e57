"""The benchmark: one file for each question, rivals beside us in the same run.

What belongs here: the fast local server, one small adapter for each client that is measured,
the harness that runs them in turn, and the report.
What does not: any assertion on speed (that is no test), and anything that the library needs.

Run it with ``nox -s bench`` or ``python -m benchmarks``.
"""
