"""Files of `torch.save`, read without PyTorch and without running anything in them."""

from biomatrix_jax.torch_file.entries import Entry as Entry
from biomatrix_jax.torch_file.entries import read_header as read_header
from biomatrix_jax.torch_file.entries import read_tensors as read_tensors
