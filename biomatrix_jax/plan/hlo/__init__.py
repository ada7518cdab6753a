"""A compiled program read back from its text: what it computes, moves and sends."""
