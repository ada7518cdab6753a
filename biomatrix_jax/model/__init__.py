"""The decoder, its attention and its loss. Needs jax, flax and numpy; knows no data, no disk."""

from biomatrix_jax.model.cache import Cache
from biomatrix_jax.model.decoder import Decoder
from biomatrix_jax.model.loss import token_loss

__all__ = ["Cache", "Decoder", "token_loss"]
