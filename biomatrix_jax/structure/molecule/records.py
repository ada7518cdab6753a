"""The lines of `biomatrix molecule encode`, and the SDF entries that decoding makes of them.

  {"name": ..., "smiles": ..., "codes": [...], "struct_selfies": "[C 42][Branch1 -1]..."}

`smiles` is isomeric, of the molecule that was encoded, and `codes` are those of `struct_selfies`.
A molecule that failed has `name` and `error` alone. To be decoded a line needs only
`struct_selfies`; one without a name is called by its number. A decoded molecule that refinement
left where its codes put it says why in the field `refinement_problem` of its entry.
"""

import json
from typing import TYPE_CHECKING

from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import parse_json
from biomatrix_jax.structure.molecule.embedding import smiles_of
from biomatrix_jax.structure.molecule.errors import MoleculeError, UnusableMolecule

if TYPE_CHECKING:
    from rdkit import Chem

    from biomatrix_jax.structure.molecule.tokenizer import Encoding

UNREFINED = "refinement_problem"
END_OF_ENTRY = "$$$$"


def line(name: str, mol: "Chem.Mol", encoding: "Encoding | MoleculeError") -> str:
    """The line of an encoded molecule.

    Raises:
      MoleculeError: `encoding` itself, or RDKit finds no SMILES.
    """
    if isinstance(encoding, MoleculeError):
        raise encoding
    try:
        smiles = smiles_of(mol)
    except ValueError as error:
        raise UnusableMolecule(name, f"RDKit refuses it without hydrogens ({error})") from error
    return _json(
        {
            "name": name,
            "smiles": smiles,
            "codes": encoding.codes.tolist(),
            "struct_selfies": encoding.struct_selfies,
        }
    )


def failure(name: str, error: BadInput) -> str:
    """The line of a molecule, or a file, that failed."""
    return _json({"name": name, "error": problem(error)})


def problem(error: BadInput) -> str:
    """What is wrong, without the name of the molecule."""
    return error.problem if isinstance(error, MoleculeError) else str(error)


def read_line(number: int, content: bytes) -> tuple[str, str | BadInput]:
    """The name of a line, or its number where it has none, and its struct SELFIES."""
    name = f"line {number}"
    try:
        record = parse_json(content, name)
    except BadInput as error:
        return name, BadInput(str(error).removeprefix(f"{name}: "))
    if isinstance(record.get("name"), str):
        # JSON can spell halves of characters, which no file can hold.
        name = record["name"].encode("utf-8", "replace").decode()
        name = " ".join(name.split()) or f"line {number}"
    if name.startswith(END_OF_ENTRY):
        return name, BadInput("its name would end the entry in an SDF file: rename it")
    if isinstance(record.get("struct_selfies"), str):
        return name, record["struct_selfies"]
    if "error" in record:
        return name, BadInput(f"was not encoded: {record['error']}")
    return name, BadInput('has no text "struct_selfies"')


def sdf_entry(mol: "Chem.Mol", name: str) -> str:
    """A decoded molecule as an entry of an SDF file, its hydrogens as they are."""
    from rdkit import Chem

    mol.SetProp("_Name", name)
    field = f">  <{UNREFINED}>\n{mol.GetProp(UNREFINED)}\n\n" if mol.HasProp(UNREFINED) else ""
    return f"{Chem.MolToMolBlock(mol)}{field}{END_OF_ENTRY}\n"


def is_unrefined(entry: str) -> bool:
    """Whether an entry of `sdf_entry` says why its molecule was not refined."""
    return f"\n>  <{UNREFINED}>\n" in entry


def _json(record: dict) -> str:
    return json.dumps(record) + "\n"
