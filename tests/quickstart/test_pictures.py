import re

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from biomatrix_jax.quickstart.pictures import HEIGHT, WIDTH, draw_conformer, draw_flat, turned
from tests.report.pages import read_page


def conformer(smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=7) == 0
    return mol


def test_a_formula_has_the_pages_colors_only():
    svg = draw_flat(Chem.MolFromSmiles("CC(=O)NC(Cl)[Se]C"))
    read_page(svg)
    assert set(re.findall(r"var\(--atom-(\w+)\)", svg)) == {"C", "O", "N", "Cl"}  # Se as carbon
    assert "#" not in svg
    assert "<?xml" not in svg


def test_a_formula_leaves_its_molecule_alone():
    mol = conformer("CO")
    before = mol.GetConformer().GetPositions()
    draw_flat(mol)
    assert mol.GetNumAtoms() == 6
    assert np.array_equal(mol.GetConformer().GetPositions(), before)


def test_a_conformer_has_a_ball_an_atom_and_two_half_sticks_a_bond():
    mol = conformer("CCO")
    svg = draw_conformer(mol)
    read_page(svg)
    balls = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)" fill-opacity', svg)
    assert len(balls) == mol.GetNumAtoms() == 9
    assert svg.count("<path") == 2 * mol.GetNumBonds()
    x, y, radius = np.array(balls, float).T
    assert (x - radius >= 0).all()
    assert (x + radius <= WIDTH).all()
    assert (y - radius >= 0).all()
    assert (y + radius <= HEIGHT).all()
    assert svg.count("var(--atom-O)") == 1 + 2  # its ball and its half of two bonds
    assert svg.count("var(--ball-H)") == 6 + 6


def test_a_conformer_is_turned_not_mirrored_or_stretched():
    xyz = conformer("C[C@H](O)F").GetConformer().GetPositions()
    after = turned(xyz)
    distances = [np.linalg.norm(p[:, None] - p[None], axis=-1) for p in (xyz, after)]
    assert np.allclose(*distances)
    volumes = [np.linalg.det(p[1:4] - p[0]) for p in (xyz, after)]
    assert volumes[0] == pytest.approx(volumes[1])
    extents = after.std(axis=0)
    assert extents[0] >= extents[1] >= extents[2]


@pytest.mark.parametrize("smiles", ["[Na+]", "[H][H]", "C#C"])
def test_points_and_lines_can_be_drawn(smiles):
    svg = draw_conformer(conformer(smiles))
    assert "nan" not in svg
    assert "<circle" in svg
