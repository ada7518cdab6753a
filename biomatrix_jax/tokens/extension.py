"""Extending a base tokenizer by the token families of BioMatrix."""

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_directory, read_json
from biomatrix_jax.tokens import families, tokenizer_files
from biomatrix_jax.tokens.vocabulary import Vocabulary

# Where tokenizer_config.json names special tokens beyond eos and pad: transformers 4 and 5. Which
# of its lists a file has depends on the version that wrote it.
_SPECIAL_LISTS = ("additional_special_tokens", "extra_special_tokens")


def extend_tokenizer(
    base_dir: str | os.PathLike,
    out_dir: str | os.PathLike,
    *,
    selfies: Iterable[str],
    molecule_tokens: Iterable[str],
    protein_codes: int,
) -> Vocabulary:
    """Writes the base tokenizer with all families appended after its last id.

    The order is that of `families.FAMILIES`: control, SELFIES, residues, protein codes, joint
    molecule tokens. The control tokens are special, the others are not, all match literally
    (`normalized: false`). They go into tokenizer.json and into those lists of tokens that
    tokenizer_config.json and added_tokens.json have; other files are carried over byte for byte.

    Args:
      base_dir: a Hugging Face directory with a byte-level BPE, Qwen3's for example. Weights in it
        are not touched.
      out_dir: written atomically; must not exist yet.
      selfies: SELFIES symbols, `[=C]`.
      molecule_tokens: joint tokens of a symbol and a structure code, `[=C 166]`.
      protein_codes: how many protein structure codes there are; 0 for none.

    Raises:
      BadInput: a token of another spelling than its family's, given twice, or in the base already;
        a base that cannot be read; `out_dir` exists.
    """
    base = Vocabulary.from_pretrained(base_dir)
    new = _members(list(selfies), list(molecule_tokens), protein_codes)
    if taken := [spelling for spelling in new if spelling in base]:
        raise BadInput(
            f"{base_dir} has {len(taken)} of the new tokens already, {taken[0]!r} for one: extend "
            "a base that has none of them"
        )
    entries = [_entry(base.size + i, spelling) for i, spelling in enumerate(new)]
    with atomic_directory(out_dir) as temporary:
        base.save(temporary)
        _extend_files(temporary, entries)
        # Read back before it appears: the tokenizer library numbers added tokens itself, and would
        # give others where the base's own ids have gaps.
        written = Vocabulary.from_pretrained(temporary)
        for entry in entries:
            if written.id(entry["content"]) != entry["id"]:
                raise BadInput(f"{base_dir} has gaps in its ids: {entry['content']!r} would differ")
    return Vocabulary.from_pretrained(out_dir)


def _members(selfies: list[str], molecule_tokens: list[str], protein_codes: int) -> list[str]:
    if isinstance(protein_codes, bool) or not isinstance(protein_codes, int) or protein_codes < 0:
        raise BadInput(f"protein_codes is how many there are, 0 or more, not {protein_codes!r}")
    given = {
        families.CONTROL: families.expected_members(families.CONTROL, 0),
        families.SELFIES: selfies,
        families.RESIDUES: families.expected_members(families.RESIDUES, 0),
        families.PROTEIN_CODES: families.expected_members(families.PROTEIN_CODES, protein_codes),
        families.MOLECULE_TOKENS: molecule_tokens,
    }
    for family in families.FAMILIES:
        for spelling, count in Counter(given[family]).items():
            if families.family_of(spelling) != family:
                raise BadInput(f"{spelling!r} is not spelled like a token of the family {family!r}")
            if count > 1:
                raise BadInput(f"{spelling!r} is given {count} times: give each token once")
    return [spelling for family in families.FAMILIES for spelling in given[family]]


def _entry(token_id: int, spelling: str) -> dict:
    return {
        "id": token_id,
        "content": spelling,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": spelling in families.CONTROL_TOKENS,
    }


def _extend_files(directory: Path, entries: list[dict]) -> None:
    """Adds the entries to the files that list added tokens, in the form each file has."""
    path = directory / tokenizer_files.TOKENIZER_JSON
    tokenizer = read_json(path)
    tokenizer["added_tokens"] = [*tokenizer.get("added_tokens", []), *entries]
    _write_json(path, tokenizer)

    path = directory / tokenizer_files.TOKENIZER_CONFIG
    config = tokenizer_files.read_config(directory)
    if "added_tokens_decoder" in config:
        for entry in entries:
            flags = {name: value for name, value in entry.items() if name != "id"}
            config["added_tokens_decoder"][str(entry["id"])] = flags
    for name in _SPECIAL_LISTS:
        if isinstance(config.get(name), list):
            config[name] += families.CONTROL_TOKENS
    if any(name in config for name in ("added_tokens_decoder", *_SPECIAL_LISTS)):
        _write_json(path, config)

    path = directory / tokenizer_files.ADDED_TOKENS
    if path.is_file():
        added = read_json(path)
        _write_json(path, added | {entry["content"]: entry["id"] for entry in entries})


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
