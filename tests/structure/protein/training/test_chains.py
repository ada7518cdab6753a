"""The file of chains: what goes in comes out, and what is no such file is refused."""

import numpy as np
import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein.training import chains as files


def test_chains_come_back_as_they_were(tmp_path, chains):
    files.write(tmp_path / "c.npz", chains)
    for before, after in zip(chains, files.read(tmp_path / "c.npz"), strict=True):
        assert (before.name, before.sequence, before.family, before.held_out) == (
            after.name, after.sequence, after.family, after.held_out
        )  # fmt: skip
        np.testing.assert_array_equal(before.backbone, after.backbone)


def test_files_that_are_none_are_refused(tmp_path, chains):
    with pytest.raises(BadInput, match="does not exist"):
        files.read(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("chains")
    with pytest.raises(BadInput, match="not a set of protein chains"):
        files.read(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", kind=np.array("something else"))
    with pytest.raises(BadInput, match="something else"):
        files.read(tmp_path / "other.npz")
    files.write(tmp_path / "whole.npz", chains)
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match="not a set of protein chains"):
        files.read(tmp_path / "cut.npz")
