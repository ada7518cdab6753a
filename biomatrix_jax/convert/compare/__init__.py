"""Two models side by side: their tensors, and their logits on the same rows."""
