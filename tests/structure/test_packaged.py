from pathlib import Path

import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure import packaged


def test_a_path_is_itself():
    assert packaged.tokenizer_path("protein", "some/where") == Path("some/where")
    assert packaged.tokenizer_path("protein", "./default/") == Path("default")


def test_what_is_not_shipped_is_one_line():
    with pytest.raises(BadInput, match="no lipid tokenizer in this package"):
        packaged.tokenizer_path("lipid", "default")
