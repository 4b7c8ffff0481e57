"""A finished batch in numbers: what its journal tells, read in bounded memory.

What belongs here: reading the lines, the sums and histograms that they go into, and the record
that comes of it. How it is shown does not: that is for `pages` and the command line.
"""
