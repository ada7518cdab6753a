import io
import re

import numpy as np
import pytest
from PIL import Image
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from biomatrix_jax.quickstart import views
from biomatrix_jax.quickstart.views import draw_backbone, draw_molecule
from biomatrix_jax.report.view3d import script
from tests.quickstart.helices import helix


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png))).astype(int)


@pytest.fixture
def bromoethanol():
    mol = Chem.AddHs(Chem.MolFromSmiles("OCCBr"))
    mol.SetProp("_Name", "</script>")
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=7) == 0
    return mol


def test_a_molecule_is_pictured_and_viewed_in_the_same_pose(bromoethanol):
    before = bromoethanol.GetConformer().GetPositions()
    drawn = draw_molecule(bromoethanol)
    assert np.array_equal(bromoethanol.GetConformer().GetPositions(), before)
    picture = pixels(drawn.png)
    assert picture.shape == (views.HEIGHT, views.WIDTH, 4)
    code = script(drawn.view, "v")
    assert "</" not in code  # names do not come along
    atoms = re.findall(r"(-?[\d.]+) +(-?[\d.]+) +-?[\d.]+ (C|O|H|Br) ", code)
    assert len(atoms) == bromoethanol.GetNumAtoms() == 9
    # Bromine on the same side of the middle in both.
    [(x, y)] = [(float(x), float(y)) for x, y, symbol in atoms if symbol == "Br"]
    brown = (picture[..., 0] > 1.3 * picture[..., 1]) & (picture[..., 1] > 1.3 * picture[..., 2])
    _, columns = np.nonzero(brown & (picture[..., 3] == 255))
    assert (columns.mean() > views.WIDTH / 2) == (x > 0)
    assert abs(x) > abs(y)


def test_bonds_are_drawn_in_the_colors_of_their_ends(bromoethanol):
    mol = Chem.RemoveHs(bromoethanol)
    capsules = views._balls_and_sticks(mol, mol.GetConformer().GetPositions())
    assert len(capsules.radii) == 4 + 2 * 3
    oxygen = views._rgb(views.ELEMENTS["O"])
    assert (capsules.colors == oxygen).all(axis=1).sum() == 1 + 1
    lengths = np.linalg.norm(capsules.ends - capsules.starts, axis=1)
    assert (lengths[:4] == 0).all()
    assert lengths[4:].min() > 0.6
    assert lengths[4:].max() < 1.1


@pytest.mark.parametrize("smiles", ["[Na+]", "[H][H]"])
def test_atoms_alone_and_bonds_alone_can_be_drawn(smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMolecule(mol, randomSeed=7)
    assert pixels(draw_molecule(mol).png)[..., 3].any()


def test_a_backbone_goes_from_the_first_color_to_the_last():
    drawn = draw_backbone(helix(30))
    picture = pixels(drawn.png)
    solid = picture[..., 3] == 255
    ends = picture[:, : views.WIDTH // 6], picture[:, -views.WIDTH // 6 :]
    blue, red = ((end[..., 2] - end[..., 0])[end[..., 3] == 255].mean() for end in ends)
    assert sorted([blue > 0, red > 0]) == [False, True]
    assert solid.sum() > 5000


def test_the_view_of_a_backbone_has_the_path_that_is_pictured():
    chain = helix(12)
    code = script(draw_backbone(chain).view, "v")
    points = re.findall(r"CA  GLY A *(\d+) +(-?[\d.]+) +(-?[\d.]+) +(-?[\d.]+)", code)
    assert len(points) == 11 * views.STEPS + 1
    path = np.array(points, float)[:, 1:]
    # Through every CA, whatever way it was turned.
    through = path[:: views.STEPS]
    apart = [np.linalg.norm(p[:, None] - p[None], axis=-1) for p in (through, chain[:, 1])]
    assert np.allclose(*apart, atol=0.003)
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).max() < 1.2


def test_a_smooth_path_of_a_straight_line_is_the_line():
    line = np.outer(np.arange(4.0), (1, 2, 3))
    assert np.allclose(views._spline(line, 2), np.outer(np.arange(0, 3.1, 0.5), (1, 2, 3)))


@pytest.mark.parametrize("residues", [1, 2])
def test_the_shortest_chains_can_be_drawn(residues):
    assert pixels(draw_backbone(helix(residues)).png)[..., 3].any()
