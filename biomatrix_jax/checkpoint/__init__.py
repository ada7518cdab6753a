"""Checkpoints on disk; the only package that knows Orbax and the files it writes.

A checkpoint directory holds `model.json` (architecture, how it was made), `hf/` (files of a Hugging
Face directory carried along byte for byte) and a folder for each saved step, written by Orbax:

   CKPT/model.json CKPT/hf/tokenizer.json ... CKPT/500/params CKPT/500/training ...

Orbax writes a step under another name and renames it when it is complete. Beside its items lies
`inventory.json`, the size of every file, so that a damaged step is reported by file name before
anything is read; what was carried along is told by its SHA-256 in `model.json`. Readers open the
items directly and never write; only saving makes a manager.
"""

from biomatrix_jax.checkpoint.arrays import Pieces as Pieces
from biomatrix_jax.checkpoint.damage import Damaged as Damaged
from biomatrix_jax.checkpoint.damage import newest_whole as newest_whole
from biomatrix_jax.checkpoint.head import CARRIED_FILES as CARRIED_FILES
from biomatrix_jax.checkpoint.places import check_place as check_place
from biomatrix_jax.checkpoint.places import complete_steps as complete_steps
from biomatrix_jax.checkpoint.places import is_checkpoint as is_checkpoint
from biomatrix_jax.checkpoint.places import locate as locate
from biomatrix_jax.checkpoint.store import CheckpointStore as CheckpointStore
from biomatrix_jax.checkpoint.store import flatten as flatten
