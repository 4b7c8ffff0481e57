"""The clients that are measured, one module each, all doing the same work.

A module has up to three functions, ``calls``, ``streams`` and ``job``, each taking
`benchmarks.work.Work` and `benchmarks.work.Meter`, and returning the texts by prompt number.
Each is written the way that client's own documentation tells its users to write it.
What does not belong here: measuring, checking, printing.
"""
