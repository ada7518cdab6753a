"""Makes biomatrix_jax/assets/ideal_geometry/table.json: usual bond lengths, angles, flat groups.

  python -m data_pipeline.assets.make_ideal_geometry QM9PACK_WHEEL [--without FILE]

From every tenth molecule of QM9 as DFT relaxed it, and the molecules that RDKit ships with ETKDGv3
and MMFF94 conformers. Molecules are left out that a tokenizer's measurements may want for
themselves: those whose SMILES (hydrogens implicit, no stereo) has a sha256 with a remainder under
10 after division by 100, and those in FILE, one SMILES a line.
"""

import argparse
import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

from rdkit import Chem, rdBase

from biomatrix_jax.files import atomic_file
from biomatrix_jax.structure.molecule import ideal_geometry
from data_pipeline import sources
from data_pipeline.assets import qm9pack
from data_pipeline.sources import nci
from data_pipeline.sources.tally import Tally

EVERY = 10
LEAST = 10  # molecules' terms that make a name worth an entry
HELD_OUT = 10  # per cent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path, help="of qm9pack 1.0.3")
    parser.add_argument("--without", type=Path, help="SMILES of molecules to leave out")
    arguments = parser.parse_args()
    lines = arguments.without.read_text().split() if arguments.without else []
    with rdBase.BlockLogs():
        without = {_flat_smiles(Chem.MolFromSmiles(line)) for line in lines}
        mols = itertools.chain(_qm9(arguments.wheel), _nci())
        table = ideal_geometry.tabulate(
            ((mol, mol.GetConformer().GetPositions()) for mol in mols if _usable(mol, without)),
            LEAST,
        )
    rounded = {
        kind: {name: [round(number, 4) for number in ideal] for name, ideal in names.items()}
        for kind, names in table.items()
    }
    with atomic_file(ideal_geometry.TABLE, "w") as file:
        file.write(_one_line_each(rounded))


def _qm9(wheel: Path) -> Iterator[Chem.Mol]:
    for row in itertools.islice(qm9pack.rows(wheel), 0, None, EVERY):
        try:
            yield qm9pack.molecule(row)
        except qm9pack.Mismatch:
            continue


def _nci() -> Iterator[Chem.Mol]:
    return (record.mol for record in sources.read("nci", None, nci.Options(), Tally()))


def _usable(mol: Chem.Mol, without: set[str]) -> bool:
    smiles = _flat_smiles(mol)
    remainder = int.from_bytes(hashlib.sha256(smiles.encode()).digest()[:8], "big") % 100
    return remainder >= HELD_OUT and smiles not in without


def _flat_smiles(mol: Chem.Mol) -> str:
    return Chem.MolToSmiles(Chem.RemoveHs(mol), isomericSmiles=False)


def _one_line_each(table: dict) -> str:
    kinds = []
    for kind, names in table.items():
        entries = ",\n".join(f"  {json.dumps(name)}: {value}" for name, value in names.items())
        kinds.append(f' "{kind}": {{\n{entries}\n }}')
    return "{\n" + ",\n".join(kinds) + "\n}\n"


if __name__ == "__main__":
    main()
