"""Models on the Hugging Face Hub, read: an id becomes the directory of its cached snapshot.

Only safetensors, configuration, tokenizer and chat templates are ever asked for: no pickled
weights, no code. Without a network the cache serves alone.
"""

import contextlib
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

from biomatrix_jax.convert.files.hf_files import INDEX, SINGLE
from biomatrix_jax.errors import BadInput, some
from biomatrix_jax.files import read_json
from biomatrix_jax.tokens.tokenizer_files import CHAT_TEMPLATES, TOKENIZER_FILES, TOKENIZER_JSON

log = logging.getLogger(__name__)

SCHEME = "hf://"
CONFIG = "config.json"
# What is read and written, as patterns. A pattern's * takes slashes too, hence the second line:
# other formats keep weights of their own in folders.
FILES = ("*.safetensors", INDEX, CONFIG, *TOKENIZER_FILES, f"{CHAT_TEMPLATES}/*.jinja")
NOT_FILES = ("*/*.safetensors",)

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_PICKLED = (".bin", ".pt", ".pth")
LOG_IN = "log in with `hf auth login` or set HF_TOKEN"


def resolve(path: str | os.PathLike, revision: str | None = None) -> Path:
    """The local directory that `path` means; a Hub id's files are downloaded unless cached.

    Args:
      path: `hf://org/name` is a Hub id, and so is `org/name` where there is no such local path;
        anything else is returned as it is, whether it exists or not.
      revision: a branch, tag or commit of a Hub id; None: its default branch.

    Raises:
      BadInput: a revision without a Hub id; a repository, revision or network that is not there or
        not allowed; one without safetensors; a cached copy with files missing and no network.
    """
    repo_id = find_id(path)
    if repo_id is None:
        if revision is not None:
            raise BadInput(
                f"{path} is a local path, and revisions belong to Hub ids: leave the revision "
                f"{revision!r} out, or write {SCHEME}org/name"
            )
        return Path(path)
    where = describe(path, revision)
    with explained(where):
        names = _list(repo_id, revision)
    if names is not None:
        _check_listing(names, repo_id, where)
    with explained(where):
        snapshot = _fetch(repo_id, revision, where, offline=names is None)
    if missing := _missing(snapshot):
        raise BadInput(
            f"{where}: {snapshot} lacks {some(missing)}: "
            + ("connect to complete it" if names is None else f"the repository's {INDEX} is wrong")
        )
    if names is None and not (snapshot / TOKENIZER_JSON).exists():
        log.warning(f"{where}: no network, and the cached copy has no tokenizer; perhaps it should")
    return snapshot


def find_id(path: str | os.PathLike) -> str | None:
    """The `org/name` that a path means, None for a local one; see `resolve`."""
    text = os.fspath(path)
    if text.startswith(SCHEME):
        return parse_id(text)
    return text if _ID.fullmatch(text) and not os.path.lexists(text) else None


def parse_id(text: str | os.PathLike) -> str:
    """The `org/name` of a Hub id, written with or without `hf://`; BadInput where it is none."""
    repo_id = os.fspath(text).removeprefix(SCHEME)
    if not _ID.fullmatch(repo_id):
        raise BadInput(f"{text} is no Hub id: write org/name, and a revision as --revision")
    return repo_id


def describe(path: str | os.PathLike, revision: str | None) -> str:
    """A Hub id for messages; whoever meant a path learns what it was taken for."""
    text = os.fspath(path)
    named = text if text.startswith(SCHEME) else f"{text} (no local path, so a Hub id)"
    return named if revision is None else f"{named}, revision {revision!r}"


@contextlib.contextmanager
def explained(where: str) -> Iterator[None]:
    """Turns whatever `huggingface_hub` raises into one line about `where`."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:  # errors of its own, of its HTTP library, of the system
        raise BadInput(f"{where}: {_cause(error)}") from None


def _cause(error: Exception) -> str:
    from huggingface_hub import errors

    if isinstance(error, errors.LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__  # a request failed, and the cache could not make up for it
    match error:
        case errors.GatedRepoError():
            return f"gated: ask for access on the model's page, and {LOG_IN}"
        case errors.RepositoryNotFoundError():
            return f"the Hub shows no such model: check the spelling; if it is private, {LOG_IN}"
        case errors.RevisionNotFoundError():
            return "no such revision: name a branch, tag or commit of this model"
        case errors.HFValidationError():
            return f"no Hub id ({_first_line(error)}): write org/name"
        case errors.HfHubHTTPError() if error.response.status_code == 401:
            return f"the Hub does not accept the login: {LOG_IN}"
        case errors.HfHubHTTPError() if error.response.status_code == 403:
            return f"not permitted to this login: {LOG_IN} as somebody who may"
        case errors.HfHubHTTPError():
            said = error.server_message or _first_line(error)
            return f"the Hub answered {error.response.status_code} ({said}): try again later"
    return f"{type(error).__name__} ({_first_line(error)}): try again"


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))


def _list(repo_id: str, revision: str | None) -> set[str] | None:
    """The names of a repository's files; None where the Hub cannot be asked."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    try:
        # A firewall may swallow requests: without a limit there would be no answer at all.
        timeout = constants.HF_HUB_ETAG_TIMEOUT
        info = HfApi().model_info(repo_id, revision=revision, timeout=timeout)
    except HfHubHTTPError as error:
        if error.response.status_code != 429 and error.response.status_code < 500:
            raise
        return None
    except (HTTPError, OSError):  # no network, or HF_HUB_OFFLINE
        return None
    return {sibling.rfilename for sibling in info.siblings or ()}


def _check_listing(names: set[str], repo_id: str, where: str) -> None:
    if CONFIG not in names:
        raise BadInput(f"{where}: no {CONFIG} in it: not a model of the transformers library")
    if names & {SINGLE, INDEX}:
        return
    if pickled := sorted(name for name in names if name.endswith(_PICKLED)):
        raise BadInput(
            f"{where}: has {pickled[0]} but no safetensors, which alone are read from the Hub: if "
            f"you trust it, `hf download {repo_id} --local-dir DIR` and name DIR"
        )
    raise BadInput(f"{where}: holds no weights: neither {SINGLE} nor {INDEX}")


def _fetch(repo_id: str, revision: str | None, where: str, offline: bool) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                repo_id,
                revision=revision,
                allow_patterns=list(FILES),
                ignore_patterns=list(NOT_FILES),
                local_files_only=offline,
            )
        )
    except LocalEntryNotFoundError as error:
        if not offline:
            raise
        # One of its kind names the snapshot that it misses files of.
        held = "a part of it" if hasattr(error, "snapshot_path") else "no copy"
        raise BadInput(
            f"{where}: the Hub cannot be reached (or HF_HUB_OFFLINE is set) "
            f"and the cache {constants.HF_HUB_CACHE} holds {held}: connect to fetch it"
        ) from None


def _missing(snapshot: Path) -> list[str]:
    """What a model cannot do without and is not there: a cache may hold any part of it."""
    needed = [CONFIG, SINGLE]
    if (snapshot / INDEX).is_file():
        shards = read_json(snapshot / INDEX).get("weight_map")
        # An index of another form is for its reader to refuse.
        needed[1:] = sorted(set(map(str, shards.values()))) if isinstance(shards, dict) else []
    return [name for name in needed if not (snapshot / name).is_file()]
