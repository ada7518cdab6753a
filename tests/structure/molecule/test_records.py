import json

import numpy as np
import pytest
from rdkit import Chem

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.molecule import Encoding, records
from biomatrix_jax.structure.molecule.errors import TooFewAtoms, UnusableMolecule
from tests.structure.molecule.conftest import embed


def test_the_line_of_a_molecule():
    mol = embed("C[C@H](F)Cl")
    text = records.line("it", mol, Encoding(np.array([3, 1], np.int32), "[C 3][H 1]", np.arange(2)))
    assert json.loads(text) == {
        "name": "it", "smiles": "C[C@H](F)Cl", "codes": [3, 1], "struct_selfies": "[C 3][H 1]"
    }  # fmt: skip
    assert text.endswith("}\n")


def test_lines_that_cannot_be():
    with pytest.raises(TooFewAtoms):
        records.line("it", embed("O"), TooFewAtoms("it", "has 3 atoms"))
    broken = Chem.RWMol(embed("c1ccccc1"))
    broken.RemoveBond(0, 1)
    encoding = Encoding(np.zeros(12, np.int32), "", np.arange(12))
    with pytest.raises(UnusableMolecule, match=r"^it: RDKit refuses it without hydrogens"):
        records.line("it", broken, encoding)


def test_failures_leave_out_the_name_that_they_have_beside_them():
    error = TooFewAtoms("it", "has 3 atoms")
    assert json.loads(records.failure("it", error)) == {"name": "it", "error": "has 3 atoms"}
    assert json.loads(records.failure("x", BadInput("y"))) == {"name": "x", "error": "y"}


@pytest.mark.parametrize(
    ("content", "name", "found"),
    [
        (b'{"name": " two\\n words", "struct_selfies": "[C 1]"}', "two words", "[C 1]"),
        (b'{"name": "", "struct_selfies": ""}', "line 7", ""),
        (b'{"name": 5, "struct_selfies": "x"}', "line 7", "x"),
        (b'{"name": "a", "codes": [1]}', "a", 'has no text "struct_selfies"'),
        (b'{"name": "a", "error": "why"}', "a", "was not encoded: why"),
        (b'{"name": "$$$$", "struct_selfies": "x"}', "$$$$", "its name would end the entry"),
        (b"[]", "line 7", "should hold a JSON object"),
    ],
)
def test_lines_are_read(content, name, found):
    called, result = records.read_line(7, content)
    assert called == name
    assert str(result).startswith(found)
    assert isinstance(result, BadInput) == (found not in ("[C 1]", "", "x"))


def test_entries_of_sdf_files():
    mol = embed("C[NH3+]")
    entry = records.sdf_entry(mol, "it")
    assert not records.is_unrefined(entry)
    mol.SetProp("refinement_problem", "is small")
    told = records.sdf_entry(mol, "it")
    assert records.is_unrefined(told)
    assert not records.is_unrefined(records.sdf_entry(embed("C[NH3+]"), "<refinement_problem>"))
    supplier = Chem.SDMolSupplier()
    supplier.SetData(entry + told, removeHs=False)
    one, two = supplier
    assert (one.GetProp("_Name"), one.GetPropsAsDict()) == ("it", {})
    assert two.GetPropsAsDict() == {"refinement_problem": "is small"}
    assert one.GetNumAtoms() == mol.GetNumAtoms()
    assert Chem.GetFormalCharge(one) == 1
