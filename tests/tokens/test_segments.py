import numpy as np
import pytest

from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import families
from biomatrix_jax.tokens.segments import (
    MODALITIES,
    Molecule3D,
    Protein3D,
    ProteinSequence,
    Selfies,
    Smiles,
    Text,
)


@pytest.mark.parametrize(
    ("segment", "wrapped"),
    [
        (Text("a b"), "a b"),
        (Smiles("C[O-]"), "<|mol_smi_start|>C[O-]<|mol_smi_end|>"),
        (Selfies("[Na+1].[Cl-1]"), "<|mol_sfi_start|>[Na+1].[Cl-1]<|mol_sfi_end|>"),
        (Molecule3D("[C 42][H 3]"), "<|mol_3d_start|>[C 42][H 3]<|mol_3d_end|>"),
        (ProteinSequence("MK"), "<|prot_aa_start|><A M><A K><|prot_aa_end|>"),
        (Protein3D((0, 4095)), "<|prot_3d_start|><S 0><S 4095><|prot_3d_end|>"),
    ],
)
def test_wrapped_text(segment, wrapped):
    assert segment.wrapped() == wrapped


def test_modality_numbers_are_those_of_stored_rows():
    assert MODALITIES == (
        "text",
        "smiles",
        "selfies",
        "molecule_3d",
        "protein_sequence",
        "protein_3d",
    )
    kinds = (Text, Smiles, Selfies, Molecule3D, ProteinSequence, Protein3D)
    assert tuple(kind.modality for kind in kinds) == MODALITIES
    assert ("text", *families.WRAPPERS) == MODALITIES


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Text(b"bytes"), "Text takes a string"),
        (lambda: Text("ab\ud800"), "surrogate at character 2"),
        (lambda: Smiles(""), "Smiles is empty"),
        (lambda: Smiles("CCO ethanol"), "' ' at character 3"),
        (lambda: Smiles("CÇ"), "'Ç' at character 1"),
        (lambda: Selfies(""), "Selfies is empty"),
        (lambda: Selfies("CCO"), "malformed at character 0"),
        (lambda: Selfies("[C][C"), "malformed at character 3: '[C'"),
        (lambda: Selfies("[C] [C]"), "malformed at character 3"),
        (lambda: Selfies("[C]..[C]"), "malformed at character 3"),
        (lambda: Selfies(".[C]"), "malformed at character 0"),
        (lambda: Selfies("[C 42]"), "malformed at character 0"),
        (lambda: Selfies("[C]\n"), "malformed at character 3"),
        (lambda: Molecule3D("[C]"), "Molecule3D is malformed at character 0"),
        (lambda: Molecule3D("[C 1][C]"), "malformed at character 5"),
        (lambda: Molecule3D("[C 1].[C 2]"), "malformed at character 5"),
        (lambda: ProteinSequence(""), "ProteinSequence is empty"),
        (lambda: ProteinSequence("MKv"), "'v' at residue 2"),
        (lambda: ProteinSequence("MK*"), r"'\*' at residue 2"),
        (lambda: ProteinSequence("MK\n"), "at residue 2"),
        (lambda: ProteinSequence(7), "takes a string, not 7"),
        (lambda: Protein3D(()), "Protein3D is empty"),
        (lambda: Protein3D((3, -1)), r"-1 at residue 1.*unobserved"),
        (lambda: Protein3D((1.5,)), "integers"),
        (lambda: Protein3D("12"), "integers"),
        (lambda: Protein3D(None), "integers"),
    ],
)
def test_malformed_content_is_refused_in_one_line(make, says):
    with pytest.raises(BadInput, match=says.replace("[", r"\[")) as refusal:
        make()
    assert "\n" not in str(refusal.value)


def test_codes_may_come_as_an_array():
    segment = Protein3D(np.array([3, 5], np.int32))
    assert segment == Protein3D((3, 5))
    assert segment.codes == (3, 5)
    assert all(type(code) is int for code in segment.codes)


def test_parts_spell_the_whole():
    selfies = Selfies("[C][=C].[Branch1][-/Ring1]")
    assert selfies.parts() == ["[C]", "[=C]", ".", "[Branch1]", "[-/Ring1]"]
    molecule = Molecule3D("[C 42][Branch1 -1][=C@@H1 0]")
    assert molecule.parts() == ["[C 42]", "[Branch1 -1]", "[=C@@H1 0]"]
