"""Damage by chance: a structure file that was changed anywhere gives an error or sound chains."""

import string

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein.chains import Chain, Limits, read_chain
from biomatrix_jax.structure.protein.files import parse
from tests.structure.protein.structures import (
    CIF_HEAD,
    PDB_HEAD,
    atom_line,
    cif_row,
    pdb_text,
    residue_lines,
)

ANY = Limits(max_missing=1, max_missing_run=10_000)
PDB = (
    PDB_HEAD
    + "CRYST1   52.000   58.600   61.900  90.00  90.00  90.00 P 21 21 21    8          \n"
    + "MODEL        1\n"
    + pdb_text([1, 2], b_factor=20.5)
    + residue_lines(2, 8, code="A")
    + atom_line(4, "N", 11, altloc="A", occupancy=0.4, residue="GLY")
    + atom_line(4, "N", 12, altloc="B", occupancy=0.6, residue="GLY")
    + residue_lines(4, 11.5, atoms=("CA", "C", "O", "CB"), residue="GLY")
    + "TER      20      GLY A   4 \n"
    + residue_lines(-1, 60, chain="B")
    + atom_line(9, "O", 70, residue="HOH", hetero=True)
    + "ENDMDL\nMODEL        2\n"
    + pdb_text([1, 2])
    + "ENDMDL\nEND\n"
)
CIF = (
    CIF_HEAD
    + "".join(
        cif_row(n, a, 3.8 * n, k) for n in (1, 2, 4) for k, a in enumerate(("N", "CA", "C", "O"))
    )
    + cif_row(5, "N", 20, altloc="A", occupancy=0.4)
    + cif_row(5, "N", 21, altloc="B", occupancy=0.6)
    + cif_row(5, '"C5\'"', 22)
    + cif_row(1, "CA", 3, model=2)
    + "#\n_x.text\n;a block\nof text\n;\n#\n"
)
TEXTS = {"x.pdb": PDB, "x.cif": CIF}
CHARACTERS = string.printable + "é\x00\ufeff٣"


def read(path, text: str) -> list[Chain]:
    path.write_text(text, encoding="utf-8", newline="")
    return [read_chain(chain, ANY) for chain in parse(path).chains]


def attempt(path, text: str) -> list[Chain] | None:
    """The chains, or None where there is an error that users are shown as one line."""
    try:
        return read(path, text)
    except BadInput:
        return None


def content(chains: list[Chain]) -> list:
    return [
        (chain.id, chain.sequence, chain.numbers, chain.backbone.tolist().__repr__())
        for chain in chains
    ]


@st.composite
def damaged(draw, text: str) -> str:
    """The text after a few changes to characters and lines, or the loss of its end."""
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(text) - 1))
        change = draw(st.sampled_from(["replace", "insert", "delete", "cut", "lines"]))
        if change == "cut":
            text = text[: place + 1]
        elif change == "lines":
            lines = text.splitlines(keepends=True)
            one, other = (draw(st.integers(0, len(lines) - 1)) for _ in "ab")
            lines[one : one + draw(st.integers(0, 1))] = [lines[other]]
            text = "".join(lines)
        else:
            new = draw(st.sampled_from(CHARACTERS)) if change != "delete" else ""
            text = text[:place] + new + text[place + (change != "insert") :]
        if not text:
            break
    return text


@pytest.mark.parametrize("name", TEXTS)
def test_damage_gives_errors_or_chains_that_agree_in_length(tmp_path_factory, name):
    path = tmp_path_factory.mktemp("fuzz") / name

    @settings(max_examples=300, deadline=None)
    @given(damaged(TEXTS[name]))
    def run(text):
        atoms = sum(line.startswith("ATOM") for line in text.splitlines())
        for chain in attempt(path, text) or ():
            length = len(chain.sequence)
            assert chain.backbone.shape == (length, 4, 3)
            assert len(chain.numbers) == len(chain.b_factors) == length
            missing = np.isnan(chain.backbone)
            assert (missing.all(axis=(1, 2)) == missing.any(axis=(1, 2))).all()
            assert (~missing.all(axis=(1, 2))).sum() * 4 <= atoms
            assert np.isfinite(chain.backbone[~missing]).all()

    run()


def test_a_character_more_or_less_in_pdb_is_refused_or_changes_nothing(tmp_path):
    """Columns cannot move without notice. Places are 5 apart: as lines of atoms are 79 long, every
    column comes up."""
    path = tmp_path / "x.pdb"
    expected = content(read(path, PDB))
    start = PDB.index("MODEL")
    silent = []
    for place in range(start, len(PDB) - 200, 5):
        for text in (PDB[:place] + PDB[place + 1 :], PDB[:place] + "7" + PDB[place:]):
            found = attempt(path, text)
            if found is not None and content(found) != expected:
                silent.append(text[max(0, place - 60) : place + 60])
    assert silent == []


def whole_residues(chains: list[Chain]) -> set:
    return {
        (chain.id, letter, number, str(backbone.tolist()))
        for chain in chains
        for letter, number, backbone in zip(
            chain.sequence, chain.numbers, chain.backbone, strict=True
        )
        if not np.isnan(backbone).any()
    }


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_left_of_a_file_cut_anywhere_is_what_it_was(tmp_path, name):
    path, text = tmp_path / name, TEXTS[name]
    expected = whole_residues(read(path, text))
    # Without the second location of an atom there is the first.
    expected |= whole_residues(read(path, text.replace(" 0.60 ", " 0.10 ")))
    for place in range(0, len(text), 5):
        assert whole_residues(attempt(path, text[:place]) or []) <= expected


def test_a_blank_more_or_less_in_mmcif_is_refused_or_changes_nothing(tmp_path):
    """At every place within the table of atoms: values cannot move to other columns."""
    path = tmp_path / "x.cif"
    expected = content(read(path, CIF))
    silent = []
    for place in range(CIF.index("\nATOM"), CIF.index("\n#\n_x.text")):
        texts = [CIF[:place] + " " + CIF[place:]]
        if CIF[place] in " \n":
            texts.append(CIF[:place] + CIF[place + 1 :])
        for text in texts:
            found = attempt(path, text)
            if found is not None and content(found) != expected:
                silent.append(text[max(0, place - 60) : place + 60])
    assert silent == []


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=300), st.sampled_from([b"", b"data_x\nloop_\n_atom_site.id\n", b"ATOM  "])
)
def test_any_bytes_give_an_error(tmp_path_factory, content, start):
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(start + content)
    with pytest.raises(BadInput):
        parse(path)
