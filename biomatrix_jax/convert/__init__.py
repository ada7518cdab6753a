"""Weights in and out: Hugging Face directories, our checkpoints, and a decoder from either."""
