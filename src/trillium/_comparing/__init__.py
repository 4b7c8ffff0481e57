"""Several models are asked the same, and measured: the run behind `client.compare`.

What belongs here: in which order models have their turns, what is measured of each request, and
the run itself. What is found are records of `trillium.comparison`; how they look is for the
command line and the pages.
"""
