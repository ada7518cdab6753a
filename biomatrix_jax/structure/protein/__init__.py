"""GCP-VQVAE: protein backbones to tokens and back."""
