"""Attention: one contract, several kernels, and the choice between them."""

from biomatrix_jax.model.attention.contract import Attend, Rows
from biomatrix_jax.model.attention.reference import attention_mask

__all__ = ["Attend", "Rows", "attention_mask"]
