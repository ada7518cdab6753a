"""Training of GCP-VQVAE: what the loss is, how the codes follow, and the loop around them."""
