"""Facts as lines of text: with their units, and no more digits than matter."""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from data_pipeline.records import Property

if TYPE_CHECKING:
    from rdkit import Chem


class Fact(NamedTuple):
    """One field of a composite instance.

    Attributes:
      line: gives its text; called only where it is drawn.
      probability: the setting of `Composition` that says how often that is.
    """

    line: Callable[[], str]
    probability: str


Facts = dict[str, Fact]  # by label


def described(property: Property) -> str:
    """`Ki: < 10000 nM`."""
    value = property.value
    number = rounded(value) if isinstance(value, float) else str(value)
    relation = "" if property.relation == "=" else f"{property.relation} "
    return f"{property.name}: {relation}{number} {property.unit}".rstrip()


def rounded(value: float) -> str:
    """With four digits that count, and all of those before the point: 4.123, 0.00123, 12346."""
    if value and not 1e-4 <= abs(value) < 1e9:
        return f"{value:.4g}"
    decimals = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 0
    written = f"{value:z.{decimals}f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def given_facts(texts: Mapping[str, str], properties: Iterable[Property]) -> Facts:
    """The texts and properties that a record brings; several of one name share a field."""
    facts = {label: labelled(label, text, "texts") for label, text in texts.items()}
    lines: dict[str, list[str]] = {}
    for one in properties:
        lines.setdefault(one.name, []).append(described(one))
    return facts | {
        name: Fact(partial("\n".join, of_name), "properties") for name, of_name in lines.items()
    }


def labelled(label: str, text: str, probability: str) -> Fact:
    """`label: text`."""
    return Fact(lambda: f"{label}: {text}", probability)


def molecule_facts(mol: "Chem.Mol") -> Facts:
    """What RDKit computes of a molecule, with explicit hydrogens or without."""
    from rdkit import Chem

    # Acceptors are counted differently with hydrogens.
    bare = Chem.RemoveHs(mol)
    return {name: Fact(partial(describe, bare), name) for name, describe in _MOLECULE.items()}


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
