"""Which molecules and proteins a text names, and what they are: SMILES or sequence.

A mention is found by a tool that annotates (BERN2, PubTator; `annotations`) or by a dictionary of
names (`matcher`). What it names is looked up by identifier in a table (`table`).
"""
