"""Scripts that make the files shipped in biomatrix_jax/assets."""
