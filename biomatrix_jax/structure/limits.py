"""What is too large to be handed to a library."""

# RDKit calls itself for each atom of a chain where it writes a SMILES, and a chain of 20,000
# overflows the stack, which ends the process without a word. No corpus has molecules as large.
MOST_ATOMS = 10_000
MOST_CHARACTERS = MOST_ATOMS  # of a SMILES
MOST_LINES = 2 * MOST_ATOMS  # of a molfile: one an atom, one a bond
