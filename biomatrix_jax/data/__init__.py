"""Training-time input: packed rows, the manifest that describes them, and the loader."""
