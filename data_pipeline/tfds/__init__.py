"""Packed rows for users of TensorFlow Datasets (TFDS), none of whom needs TensorFlow.

`builder` lets TFDS read a data directory as it lies; `export` writes a data set of TFDS's own
format, for those who have TFDS but not this package. Both give the rows that `features` describes,
out of ArrayRecord files: of TFDS's other formats two have no random access, and its writer of the
last, Parquet, loses rows without a word.
"""

from biomatrix_jax.errors import BadInput

try:
    import tensorflow_datasets as _  # noqa: F401
except ImportError:
    raise BadInput("TFDS is missing: pip install 'biomatrix-jax[data]'") from None
