import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from biomatrix_jax.quickstart.molecules import (
    Tally,
    Verdict,
    first_of_each,
    judge,
    judge_all,
    tally,
)
from biomatrix_jax.structure.molecule.errors import CollinearReferences
from biomatrix_jax.tokens import Molecule3D, ProteinSequence, Selfies, Smiles, Text
from tests.quickstart.generations import generation

ETHANOL = Selfies("[C][C][O]")


def test_selfies_become_canonical_smiles():
    verdict = judge(generation(Selfies("[O][C][C]")))
    assert verdict.smiles == "CCO"
    assert verdict.mol.GetNumAtoms() == 3
    assert verdict.reason == ""


def test_spellings_of_one_molecule_are_one_and_mirror_images_are_two():
    spelled = ("C1=CC=CC=C1O", "Oc1ccccc1", "[H]Oc1ccccc1", "C[C@H](O)F", "C[C@@H](O)F")
    verdicts = [judge(generation(Smiles(smiles))) for smiles in spelled]
    assert [verdict.smiles for verdict in verdicts[:3]] == ["Oc1ccccc1"] * 3
    assert len({verdict.smiles for verdict in verdicts}) == 3


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (generation(ETHANOL, problem="unclosed_segment", finished=False), "unclosed segment"),
        (generation(ETHANOL, problem="wrong_token"), "wrong token"),
        (generation(problem="empty_segment"), "empty segment"),
        (generation(), "not one segment"),
        (generation(ETHANOL, Text("and more")), "not one segment"),
        (generation(Selfies("[Branch1]")), "no atom"),
        (generation(Selfies("[C][Foo]")), "no SELFIES"),
        (generation(Smiles("c1ccc")), "refused by RDKit"),
        (generation(Smiles("C(C)(C)(C)(C)C")), "refused by RDKit"),  # five bonds
        (generation(ProteinSequence("MK")), "a protein_sequence segment"),
        (generation(Molecule3D("[C 0]")), "a molecule_3d segment"),  # without a way to decode it
    ],
)
def test_what_is_no_molecule_has_its_reason(made, reason):
    assert judge(made) == Verdict(None, None, reason)


def test_a_molecule_in_3d_is_what_its_tokenizer_decodes_with_the_stereo_of_its_conformer():
    mol = Chem.AddHs(Chem.MolFromSmiles("C[C@H](O)F"))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=7) == 0
    Chem.RemoveStereochemistry(mol)  # the tokenizer assigns none

    def decode(struct_selfies):
        assert struct_selfies == "[C 4][O 2]"
        return mol

    verdict = judge(generation(Molecule3D("[C 4][O 2]")), decode)
    assert verdict.smiles == Chem.CanonSmiles("C[C@H](O)F")
    assert verdict.mol.GetNumAtoms() == 9


def test_a_molecule_in_3d_that_cannot_be_rebuilt_is_none():
    def decode(struct_selfies):
        raise CollinearReferences(struct_selfies, "atoms on one line")

    assert judge(generation(Molecule3D("[C 4]")), decode).reason == "collinear references"


def test_fractions_are_each_of_what_is_left():
    spelled = ["[C]", "[C]", "[O]", "[C][O]", "[O][C]", "[N]", "[Branch1]"]
    made = [generation(Selfies(s)) for s in spelled]
    made.append(generation(Selfies("[F]"), problem="unclosed_segment", finished=False))
    judged = judge_all(made, {"O", "CO", "not generated"})
    assert judged.tally == Tally(generated=8, valid=6, distinct=4, novel=2)
    assert judged.tally.validity == 6 / 8
    assert judged.tally.uniqueness == 4 / 6
    assert judged.tally.novelty == 2 / 4
    assert [verdict.smiles for verdict in judged.verdicts[:3]] == ["C", "C", "O"]
    assert [verdict.smiles for verdict in first_of_each(judged.verdicts)] == ["C", "O", "CO", "N"]


def test_fractions_of_nothing_are_zero():
    empty = tally([], set())
    assert (empty.validity, empty.uniqueness, empty.novelty) == (0, 0, 0)
