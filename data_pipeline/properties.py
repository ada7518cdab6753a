"""Facts about a molecule, written with their units and no more digits than matter.

Every function takes a molecule without explicit hydrogens: RDKit counts acceptors differently with.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rdkit import Chem


def formula(mol: "Chem.Mol") -> str:
    from rdkit.Chem import rdMolDescriptors

    return f"Molecular formula: {rdMolDescriptors.CalcMolFormula(mol)}"


def molecular_weight(mol: "Chem.Mol") -> str:
    """Average over natural isotopes."""
    from rdkit.Chem import Descriptors

    return f"Molecular weight: {Descriptors.MolWt(mol):.2f} g/mol"


def logp(mol: "Chem.Mol") -> str:
    """Octanol-water partition coefficient by Wildman and Crippen's atom contributions."""
    from rdkit.Chem import Crippen

    return f"LogP (Crippen): {Crippen.MolLogP(mol):z.2f}"


def tpsa(mol: "Chem.Mol") -> str:
    """Topological polar surface area by Ertl's contributions of nitrogen and oxygen."""
    from rdkit.Chem import rdMolDescriptors

    return f"Topological polar surface area: {rdMolDescriptors.CalcTPSA(mol):.1f} Å²"


def h_bond_donors(mol: "Chem.Mol") -> str:
    from rdkit.Chem import rdMolDescriptors

    return f"Hydrogen bond donors: {rdMolDescriptors.CalcNumHBD(mol)}"


def h_bond_acceptors(mol: "Chem.Mol") -> str:
    from rdkit.Chem import rdMolDescriptors

    return f"Hydrogen bond acceptors: {rdMolDescriptors.CalcNumHBA(mol)}"


_MOLECULE = {
    "formula": formula,
    "molecular_weight": molecular_weight,
    "logp": logp,
    "tpsa": tpsa,
    "h_bond_donors": h_bond_donors,
    "h_bond_acceptors": h_bond_acceptors,
}


def molecule_facts(mol: "Chem.Mol") -> dict[str, Callable[[], str]]:
    """Field of a composition -> what to call for its text, so that only those drawn are computed.

    Takes a molecule with explicit hydrogens or without.
    """
    from rdkit import Chem

    bare = Chem.RemoveHs(mol)
    return {name: partial(describe, bare) for name, describe in _MOLECULE.items()}
