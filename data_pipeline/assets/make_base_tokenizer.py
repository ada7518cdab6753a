"""Makes biomatrix_jax/assets/base_tokenizer/: a small byte-level BPE in the manner of Qwen3's.

  python -m data_pipeline.assets.make_base_tokenizer [--out DIR]

It is trained on the scientific text that the package ships and on the canonical SMILES of RDKit's
NCI molecules, so that both come out in pieces of sensible length. The same inputs and versions
(PROVENANCE.md beside the asset) give the same bytes.
"""

import argparse
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from biomatrix_jax.files import atomic_file
from biomatrix_jax.tokens.tokenizer_files import base_tokenizer_path

TEXT = Path(__file__).parents[2] / "biomatrix_jax" / "assets" / "text"
MERGES = 2048
# Ids follow the pieces of text; the first ends and pads documents, the others wrap chat turns.
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
# Words with the space or sign before them, single digits, runs of signs, runs of white space (whose
# last space goes to the word that follows).
PIECES = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def read_texts() -> Iterator[str]:
    """The shipped text, one string a record."""
    for path in sorted(TEXT.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)["text"]


def read_smiles() -> Iterator[str]:
    """Canonical SMILES of the NCI molecules that RDKit ships, those that it can read."""
    from rdkit import Chem, RDConfig, rdBase

    path = Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi"
    with rdBase.BlockLogs():
        for line in path.read_text(encoding="ascii").splitlines():
            if molecule := Chem.MolFromSmiles(line.split()[0]):
                yield Chem.MolToSmiles(molecule)


def train() -> bytes:
    """The trained tokenizer as the bytes of tokenizer.json."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + MERGES, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([*read_texts(), *read_smiles()], trainer)
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    return tokenizer.to_str(pretty=True).encode("utf-8") + b"\n"


def configuration() -> bytes:
    """The bytes of tokenizer_config.json."""
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": SPECIAL_TOKENS[0],
        "pad_token": SPECIAL_TOKENS[0],
        "additional_special_tokens": list(SPECIAL_TOKENS[1:]),
        "clean_up_tokenization_spaces": False,
        "model_max_length": 131072,
    }
    return json.dumps(config, indent=2).encode("utf-8") + b"\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=base_tokenizer_path())
    out = parser.parse_args().out
    for name, content in (
        ("tokenizer.json", train()),
        ("tokenizer_config.json", configuration()),
    ):
        with atomic_file(out / name) as file:
            file.write(content)


if __name__ == "__main__":
    main()
