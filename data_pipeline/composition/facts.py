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
    number = rounded(value, property.decimals) if isinstance(value, float) else str(value)
    relation = "" if property.relation == "=" else f"{property.relation} "
    return f"{property.name}: {relation}{number} {property.unit}".rstrip()


def rounded(value: float, decimals: int | None = None) -> str:
    """To some decimals; without, to four digits that count and all before the point, as 4.123,
    0.00123 and 12346. Zeros at the end go."""
    if decimals is None:
        if value and not 1e-4 <= abs(value) < 1e9:
            return f"{value:.4g}"
        decimals = max(0, 3 - math.floor(math.log10(abs(value)))) if value else 0
    written = f"{value:z.{decimals}f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def given_facts(texts: Mapping[str, str], properties: Iterable[Property]) -> Facts:
    """The texts and properties that a record brings; those of one name share a field."""
    lines = {label: [f"{label}: {text}"] for label, text in texts.items()}
    for one in properties:
        lines.setdefault(one.name, []).append(described(one))
    return {
        label: Fact(partial("\n".join, of_label), "texts" if label in texts else "properties")
        for label, of_label in lines.items()
    }


def labelled(label: str, text: str, probability: str) -> Fact:
    """`label: text`."""
    return Fact(lambda: f"{label}: {text}", probability)


def molecule_facts(mol: "Chem.Mol") -> Facts:
    """What RDKit computes of a molecule, with explicit hydrogens or without."""
    from rdkit import Chem

    # Acceptors are counted differently with hydrogens.
    bare = Chem.RemoveHs(mol)
    return {
        label: Fact(partial(_labelled, label, describe, bare), setting)
        for label, (setting, describe) in COMPUTED.items()
    }


def formula(mol: "Chem.Mol") -> str:
    from rdkit.Chem import rdMolDescriptors

    return rdMolDescriptors.CalcMolFormula(mol)


def molecular_weight(mol: "Chem.Mol") -> str:
    """Average over natural isotopes."""
    from rdkit.Chem import Descriptors

    return f"{Descriptors.MolWt(mol):.2f} g/mol"


def logp(mol: "Chem.Mol") -> str:
    """Octanol-water partition coefficient by Wildman and Crippen's atom contributions."""
    from rdkit.Chem import Crippen

    return f"{Crippen.MolLogP(mol):z.2f}"


def tpsa(mol: "Chem.Mol") -> str:
    """Topological polar surface area by Ertl's contributions of nitrogen and oxygen."""
    from rdkit.Chem import rdMolDescriptors

    return f"{rdMolDescriptors.CalcTPSA(mol):.1f} Å²"


def h_bond_donors(mol: "Chem.Mol") -> str:
    from rdkit.Chem import rdMolDescriptors

    return str(rdMolDescriptors.CalcNumHBD(mol))


def h_bond_acceptors(mol: "Chem.Mol") -> str:
    from rdkit.Chem import rdMolDescriptors

    return str(rdMolDescriptors.CalcNumHBA(mol))


# Label -> the setting of `Composition`, and what computes it. A corpus that gives a value under the
# same label has the word.
COMPUTED = {
    "Molecular formula": ("formula", formula),
    "Molecular weight": ("molecular_weight", molecular_weight),
    "LogP (Crippen)": ("logp", logp),
    "Topological polar surface area": ("tpsa", tpsa),
    "Hydrogen bond donors": ("h_bond_donors", h_bond_donors),
    "Hydrogen bond acceptors": ("h_bond_acceptors", h_bond_acceptors),
}


def _labelled(label: str, describe: Callable[["Chem.Mol"], str], mol: "Chem.Mol") -> str:
    return f"{label}: {describe(mol)}"
