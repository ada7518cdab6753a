"""What TFDS gives for a packed row of T tokens: four arrays of one length.

    tokens       int32 [T]   0 in the padding, which stands last
    segment_ids  int32 [T]   0 is padding, documents count from 1
    modality     uint8 [T]   the index in `tokens.MODALITIES`; 0 in the padding
    source       int32 [T]   of the document, the index in the manifest's sources; 0 in the padding

A record keeps the lengths and sources of its documents instead, as many as there are. Here both are
spread over the tokens: every feature has a shape that is known beforehand, so rows can be stacked
into a batch as they come, and `segment_ids` is what attention masks and losses ask for. Nothing is
lost by it: the lengths are the counts of the segment ids.
"""

import numpy as np
import tensorflow_datasets as tfds

from biomatrix_jax.data.rows import Row, decode_row
from biomatrix_jax.tokens import MODALITIES

_DTYPES = {
    "tokens": np.int32,
    "segment_ids": np.int32,
    "modality": np.uint8,
    "source": np.int32,
}
_DOCS = {
    "tokens": "Ids of the vocabulary; 0 in the padding.",
    "segment_ids": "The token's document in its row, from 1 on; 0 is padding.",
    "modality": "Of the token: " + ", ".join(f"{n} {m}" for n, m in enumerate(MODALITIES)) + ".",
    "source": "Of the document: its corpus, an index of the sources in the metadata.",
}


def row_features(row_length: int) -> dict[str, tfds.features.Tensor]:
    """The features of a row, by name."""
    # As bytes: TFDS keeps integers as 64-bit ones otherwise.
    return {
        name: tfds.features.Tensor(
            shape=(row_length,), dtype=dtype, encoding="bytes", doc=_DOCS[name]
        )
        for name, dtype in _DTYPES.items()
    }


def example(row: Row) -> dict[str, np.ndarray]:
    """A row as TFDS gives it, by feature."""
    segment_ids = row.segment_ids
    source = np.append(row.source, 0).astype(np.int32)  # the last, segment 0's, is the padding's
    return {
        "tokens": row.tokens,
        "segment_ids": segment_ids,
        "modality": row.modality,
        "source": source[segment_ids - 1],
    }


class PackedRows(tfds.features.FeaturesDict):
    """Rows whose records are those of `biomatrix_jax.data.rows`, not TFDS's `tf.train.Example`.

    TFDS leaves it to the features of a data set how a record is read, and this is all that differs:
    splits, slices of them, decoders and the reading of files are its own.
    """

    def deserialize_example_np(self, serialized_example, *, decoders=None):
        """The features of a record; raises BadInput for one that is no row of this length."""
        row = decode_row(serialized_example, self.shape["tokens"][0])
        encoded = {name: array.tobytes() for name, array in example(row).items()}
        return self.decode_example_np(encoded, decoders=decoders)
