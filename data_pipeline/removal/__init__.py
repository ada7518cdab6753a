"""Which records a build leaves out: repetitions, and what evaluation sets are made of.

A first pass over all inputs writes a few bytes for each record (`keys`); together they decide which
records go (`decide`), and the pass that makes documents leaves those out and counts them.
"""
