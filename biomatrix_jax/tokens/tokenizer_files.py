"""The files of a Hugging Face tokenizer directory: which they are, and reading them strictly."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import inside, read_json

TOKENIZER_JSON = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
GENERATION_CONFIG = "generation_config.json"
ADDED_TOKENS = "added_tokens.json"
EXTENSION = "vocab_extension.json"  # how a vocabulary was extended

# Where transformers keeps chat templates beyond the first; each is a .jinja file.
CHAT_TEMPLATES = "additional_chat_templates"

# Everything that belongs to the tokenizer rather than to the weights, CHAT_TEMPLATES aside; files
# that a directory lacks are not missed, only TOKENIZER_JSON is required.
TOKENIZER_FILES = (
    TOKENIZER_JSON,
    TOKENIZER_CONFIG,
    GENERATION_CONFIG,
    ADDED_TOKENS,
    EXTENSION,
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
    "vocab.json",
    "merges.txt",
)


def base_tokenizer_path() -> Path:
    """The directory of the small byte-level BPE that the package ships."""
    # Installers may link each file of a package to a cache; there it lies among its own.
    return Path(__file__).resolve().parents[1] / "assets" / "base_tokenizer"


def copy_files(
    source: str | os.PathLike,
    destination: str | os.PathLike,
    names: Sequence[str] = TOKENIZER_FILES,
) -> list[str]:
    """Copies those of the files that `source` has, byte for byte, into `destination`.

    All of CHAT_TEMPLATES come with them.

    Returns:
      The paths of what was copied, below `source`.

    Raises:
      BadInput: as `inside`; to go on as if there were no such file would lose what the model came
        with.
    """
    source, destination = Path(source), Path(destination)
    folder = source / CHAT_TEMPLATES
    if not folder.is_dir() and os.path.lexists(folder):
        raise BadInput(f"{folder} is a link to nothing, or no folder: fetch it again, or remove it")
    templates = sorted(f"{CHAT_TEMPLATES}/{path.name}" for path in folder.glob("*.jinja"))
    present = [name for name in (*names, *templates) if inside(source, name)]
    for name in present:
        (destination / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(source / name, destination / name)
    return present


def load_tokenizer(directory: Path):
    """The `tokenizers.Tokenizer` of a directory, without truncation and padding.

    Raises:
      BadInput: there is none, it is damaged, or it is no byte-level BPE: decoding to exact bytes
        relies on that.
    """
    from tokenizers import Tokenizer, decoders

    path = directory / TOKENIZER_JSON
    if not inside(directory, TOKENIZER_JSON):
        raise BadInput(f"{path} does not exist: a vocabulary is a directory with {TOKENIZER_JSON}")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        reason = str(error).splitlines()[0]
        raise BadInput(f"{path} is not a readable tokenizer, fetch it again: {reason}") from None
    # A tokenizer may be saved with either; both would change what a document's tokens are.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    # The dot tells a tokenizer that puts a space before every piece, which could not be undone.
    dot = tokenizer.encode(".", add_special_tokens=False).tokens
    if not isinstance(tokenizer.decoder, decoders.ByteLevel) or dot != ["."]:
        raise BadInput(f"{path} is not a byte-level BPE like Qwen3's: use a Qwen3 tokenizer")
    return tokenizer


def read_config(directory: Path) -> dict[str, Any]:
    """tokenizer_config.json, {} where the directory has none."""
    path = inside(directory, TOKENIZER_CONFIG)
    return read_json(path) if path else {}


def check_agreement(directory: Path, config: dict[str, Any], tokenizer) -> None:
    """Raises BadInput where tokenizer_config.json lists an added token that tokenizer.json lacks.

    `transformers` would add it when it loads the directory, and then encode differently than we do.
    """
    listed = config.get("added_tokens_decoder") or {}
    if not isinstance(listed, dict):
        raise BadInput(f"{directory / TOKENIZER_CONFIG}: added_tokens_decoder is no JSON object")
    for token_id, entry in listed.items():
        spelling = entry.get("content") if isinstance(entry, dict) else None
        known = tokenizer.token_to_id(spelling) if isinstance(spelling, str) else None
        if str(known) != token_id:
            raise BadInput(
                f"{directory}: {TOKENIZER_CONFIG} says token {token_id} is {spelling!r}, "
                f"{TOKENIZER_JSON} does not: save both together"
            )


def read_end_ids(directory: Path, config: dict[str, Any], tokenizer) -> tuple[tuple[int, ...], int]:
    """The ids that end a document and the id that pads.

    The end ids come from generation_config.json (`eos_token_id`, a number or a list), else from
    tokenizer_config.json (`eos_token`); the padding id from tokenizer_config.json (`pad_token`),
    else it is the first end id.
    """
    path = directory / GENERATION_CONFIG
    ends = read_json(path).get("eos_token_id") if inside(directory, path.name) else None
    if ends is None:
        ends = _id_of(directory, config, "eos_token", tokenizer)
    ends = tuple(ends) if isinstance(ends, list) else (ends,)
    if ends in ((), (None,)):
        raise BadInput(
            f"{directory} names no end-of-document token: set eos_token_id in {GENERATION_CONFIG} "
            f"or eos_token in {TOKENIZER_CONFIG}"
        )
    for end in ends:
        if type(end) is not int or not is_token_id(tokenizer, end):
            raise BadInput(f"{path}: eos_token_id {end!r} is not an id of {TOKENIZER_JSON}")
    pad = _id_of(directory, config, "pad_token", tokenizer)
    return ends, ends[0] if pad is None else pad


def is_token_id(tokenizer, token_id: int) -> bool:
    """Whether the tokenizer has a token of that id."""
    # The library takes unsigned 32-bit numbers and overflows on others.
    return 0 <= token_id < 2**31 and tokenizer.id_to_token(token_id) is not None


def _id_of(directory: Path, config: dict[str, Any], key: str, tokenizer) -> int | None:
    spelling = config.get(key)
    if isinstance(spelling, dict):  # an older form: the token with its flags
        spelling = spelling.get("content")
    if spelling is None:
        return None
    token_id = tokenizer.token_to_id(spelling) if isinstance(spelling, str) else None
    if token_id is None:
        raise BadInput(
            f"{directory / TOKENIZER_CONFIG}: {key} {spelling!r} is not a token of {TOKENIZER_JSON}"
        )
    return token_id
