"""Models of AlphaFold DB found by accession; the rest of the module is tested by its readers."""

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline.sources.structures import models


def test_the_newest_model_of_an_accession(tmp_path):
    names = [
        "AF-P1-F1-model_v3.cif.gz", "AF-P1-F1-model_v10.pdb", "AF-P1-F1-model_v10.cif",
        "AF-P1-F1-model_v4.cif", "AF-P2-F1-model_v4.pdb.gz", "AF-P3-F2-model_v4.cif",
        "AF-P4-2-F1-model_v6.cif", "AF-P2-F1-confidence_v4.json", "P9.cif",
    ]  # fmt: skip
    for name in names:
        (tmp_path / name).touch()
    assert {accession: file.name for accession, file in models(str(tmp_path)).items()} == {
        "P1": "AF-P1-F1-model_v10.cif",
        "P2": "AF-P2-F1-model_v4.pdb.gz",
        "P4-2": "AF-P4-2-F1-model_v6.cif",
    }
    with pytest.raises(BadInput, match="no such folder of models"):
        models(str(tmp_path / "absent"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="no model called like AF-P12345"):
        models(str(tmp_path / "empty"))
