"""Weight files of Hugging Face directories: safetensors, and what PyTorch saves."""
