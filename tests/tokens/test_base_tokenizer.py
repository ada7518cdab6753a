import pytest

from biomatrix_jax.tokens import base_tokenizer_path
from data_pipeline.assets import make_base_tokenizer


def test_the_script_makes_the_shipped_bytes():
    import rdkit
    import tokenizers

    provenance = (base_tokenizer_path() / "PROVENANCE.md").read_text()
    versions = f"tokenizers {tokenizers.__version__}, rdkit {rdkit.__version__}"
    if versions not in provenance:
        pytest.skip(f"the shipped base tokenizer was made with other versions than {versions}")
    assert make_base_tokenizer.train() == (base_tokenizer_path() / "tokenizer.json").read_bytes()
    shipped = (base_tokenizer_path() / "tokenizer_config.json").read_bytes()
    assert make_base_tokenizer.configuration() == shipped
