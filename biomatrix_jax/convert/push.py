"""Models on the Hugging Face Hub, written: a directory or a checkpoint becomes one commit.

One commit with everything in it, so that whoever downloads meanwhile gets the old model or the new
one. Files of the same kinds that the new model does not have are removed in it: an old shard or an
old chat template beside new weights would be read as part of them.
"""

import fnmatch
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

from biomatrix_jax.convert import hub, model_card
from biomatrix_jax.convert.exporter import to_hf
from biomatrix_jax.convert.source import CheckpointSource, HFSource, check_tokenizer
from biomatrix_jax.errors import BadInput, some
from biomatrix_jax.files import inside, read_json
from biomatrix_jax.tokens import Vocabulary
from biomatrix_jax.tokens.tokenizer_files import EXTENSION, TOKENIZER_JSON

log = logging.getLogger(__name__)

CARD = "README.md"


def push(
    directory: str | os.PathLike,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    message: str | None = None,
) -> str:
    """Makes the Hub repository `repo_id` hold the model of a Hugging Face directory.

    Weights, configuration, tokenizer, chat templates and README.md go there; whatever else the
    directory holds does not. The repository is made where there is none. A model card that was not
    written by `model_card` is never replaced by one that was.

    Args:
      repo_id: `org/name`, with or without `hf://`.
      private: make it a private repository; one that is there must be private already.
      revision: the branch, made from the default branch where there is none; None: the default.
      message: of the commit.

    Returns:
      The commit's URL.

    Raises:
      BadInput: no complete model there, no Hub id, not logged in or not allowed, no network.
    """
    repo_id = hub.parse_id(repo_id)
    directory = Path(directory)
    files = _find_files(directory)
    where = hub.describe(hub.SCHEME + repo_id, revision)
    _check_login(where)
    with hub.explained(where):
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

        api = HfApi()
        # None, not False: an organisation may have its own default.
        api.create_repo(repo_id, private=private or None, exist_ok=True)
        if private and not api.model_info(repo_id).private:
            raise BadInput(
                f"{where}: is public already: change that on its page, or leave --private out"
            )
        if revision is not None:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        before = api.model_info(repo_id, revision=revision)
        there = {sibling.rfilename for sibling in before.siblings or ()}
        if CARD in files and CARD in there and _keeps_card(directory, repo_id, before.sha):
            log.warning(f"{where}: {CARD} there was written by hand; it stays")
            files.remove(CARD)
        stale = sorted(name for name in there - set(files) if _is_part(name))
        commit = api.create_commit(
            repo_id,
            [
                *(CommitOperationAdd(name, directory / name) for name in files),
                *(CommitOperationDelete(name) for name in stale),
            ],
            commit_message=message or "Upload the model with biomatrix-jax",
            revision=revision,
            parent_commit=before.sha,  # what is stale was found there
        )
        _check_arrived(api, repo_id, commit.oid, files, where)
    return commit.commit_url


def push_checkpoint(
    src: str | os.PathLike,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    item: str = "params",
    **options: Any,
) -> tuple[str, list[str]]:
    """Exports a run, a checkpoint or a step as `to_hf` does, adds a model card, and pushes it.

    The export lies in the system's temporary directory meanwhile (TMPDIR names another one).

    Args:
      options: `dtype`, `shard_size` and `item` of `to_hf`.

    Returns:
      The commit's URL, and the export's notes.
    """
    repo_id = hub.parse_id(repo_id)
    _check_login(hub.describe(hub.SCHEME + repo_id, revision))  # before the long part
    with tempfile.TemporaryDirectory(prefix="biomatrix-push-") as folder:
        directory = Path(folder) / "model"
        notes = to_hf(src, directory, item=item, **options)
        card = directory / CARD
        if not card.exists():
            card.write_text(_card(CheckpointSource(src, item), directory, repo_id), "utf-8")
        return push(directory, repo_id, private=private, revision=revision), notes


def _card(source: CheckpointSource, directory: Path, repo_id: str) -> str:
    exported = HFSource(directory)
    before, after = (s.specs()["embedding.table"].dtype.name for s in (source, exported))
    has_tokenizer = (directory / TOKENIZER_JSON).is_file()
    extension = directory / EXTENSION
    return model_card.model_card(
        repo_id,
        exported.config,
        after,
        made=source.store.made,
        step=source.step,
        rounded_from=before if before != after else None,
        vocabulary=Vocabulary.from_pretrained(directory) if has_tokenizer else None,
        extension=read_json(extension) if extension.is_file() else None,
    )


def _check_login(where: str) -> None:
    from huggingface_hub import get_token

    if get_token() is None:
        raise BadInput(f"{where}: pushing needs an account: {hub.LOG_IN}")


def _find_files(directory: Path) -> list[str]:
    """The names of what belongs to the directory's model, which must be whole."""
    source = HFSource(directory)
    check_tokenizer(source.files, source.config)
    weights = set(filter(_is_weights, source.weight_files))
    if not weights:
        raise BadInput(
            f"{directory}: only safetensors are pushed, and it has PyTorch files: convert it with "
            "from-hf and to-hf first"
        )
    names = {path.relative_to(directory).as_posix() for path in directory.rglob("*")}
    others = {name for name in names if _is_part(name) and not _is_weights(name)}
    # What a link leads to would be published.
    return sorted(name for name in names & (weights | others | {CARD}) if inside(directory, name))


def _is_part(name: str) -> bool:
    """Whether a file of this name would be read as part of a model."""
    if _is_weights(name):
        return name.startswith("model") and "/" not in name
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in hub.FILES)


def _is_weights(name: str) -> bool:
    return name.endswith(".safetensors")


def _keeps_card(directory: Path, repo_id: str, commit: str) -> bool:
    if not model_card.is_made(directory / CARD):
        return False
    from huggingface_hub import hf_hub_download

    return not model_card.is_made(hf_hub_download(repo_id, CARD, revision=commit))


def _check_arrived(api, repo_id: str, commit: str, files: list[str], where: str) -> None:
    arrived = {s.rfilename for s in api.model_info(repo_id, revision=commit).siblings or ()}
    if lost := sorted(set(files) - arrived):
        raise BadInput(
            f"{where}: {some(lost)} did not arrive: is it in the repository's .gitignore?"
        )
