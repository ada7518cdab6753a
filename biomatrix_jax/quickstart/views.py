"""Molecules and backbones in space, each as a picture and as a py3Dmol view of the same pose.

Neither has a ground of its own, so one set of colors is to be read on light and dark pages alike.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rdkit import Chem

from biomatrix_jax.quickstart.pictures import turned
from biomatrix_jax.report import png
from biomatrix_jax.report.solids import Capsules, paint
from biomatrix_jax.report.view3d import view_of

if TYPE_CHECKING:
    import py3Dmol

WIDTH, HEIGHT = 560, 420  # pixels of a picture

ELEMENTS = {
    "C": "#7d8996", "H": "#d3dae1", "N": "#3f6fe0", "O": "#d9422f", "S": "#c99a1a",
    "P": "#e07c1f", "F": "#2f9e57", "Cl": "#2f9e57", "Br": "#a8592a", "I": "#7a45d6",
}  # fmt: skip
STICK = 0.14  # angstrom
BALL = 0.24  # of an atom's van der Waals radius

CHAIN = ("#3f6fe0", "#1f9fb8", "#45a860", "#dca028", "#d9422f")  # from its N to its C end
TUBE = 0.55  # angstrom
STEPS = 5  # pieces of a tube from one residue to the next


@dataclass(frozen=True, eq=False)
class Drawn:
    """A structure in the same pose twice."""

    png: bytes
    view: "py3Dmol.view"


def draw_molecule(mol: Chem.Mol) -> Drawn:
    """The molecule's first conformer as balls and sticks, seen along its thinnest direction."""
    mol = Chem.Mol(mol)
    xyz = turned(mol.GetConformer().GetPositions())
    mol.GetConformer().SetPositions(xyz)
    mol.SetProp("_Name", "")
    scheme = {"colorscheme": {"prop": "elem", "map": ELEMENTS}}
    style = {
        "stick": {"radius": STICK, "singleBonds": True} | scheme,
        "sphere": {"scale": BALL} | scheme,
    }
    return Drawn(_png(_balls_and_sticks(mol, xyz)), view_of(Chem.MolToMolBlock(mol), "sdf", style))


def _balls_and_sticks(mol: Chem.Mol, xyz: np.ndarray) -> Capsules:
    table = Chem.GetPeriodicTable()
    radii = np.array([table.GetRvdw(atom.GetAtomicNum()) * BALL for atom in mol.GetAtoms()])
    colors = np.array([_rgb(ELEMENTS.get(a.GetSymbol(), ELEMENTS["C"])) for a in mol.GetAtoms()])
    bonds = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds()]
    from_, to = np.array(bonds, int).reshape(-1, 2).T
    near, far = np.append(from_, to), np.append(to, from_)
    return Capsules(
        starts=np.concatenate([xyz, xyz[near]]),
        ends=np.concatenate([xyz, (xyz[near] + xyz[far]) / 2]),
        radii=np.concatenate([radii, np.full(len(near), STICK)]),
        colors=np.concatenate([colors, colors[near]]),
    )


def draw_backbone(backbone: np.ndarray) -> Drawn:
    """A chain, [L, 3, 3] (N, CA, C, angstrom), as a tube through its CA, widest side shown."""
    path = _spline(turned(backbone[:, 1]), STEPS)
    # 3Dmol.js gives each color the same share, the last one too, which it does not blend.
    last = 1 + (len(path) - 1) * len(CHAIN) / (len(CHAIN) - 1)
    gradient = {"gradient": "linear", "min": 1, "max": last, "colors": list(CHAIN)}
    style = {"style": "trace", "thickness": TUBE, "colorscheme": {"prop": "resi"} | gradient}
    return Drawn(_png(_tube(path)), view_of(_as_residues(path), "pdb", {"cartoon": style}))


def _tube(path: np.ndarray) -> Capsules:
    """Through points [P, 3], colored from one end to the other."""
    colors = np.array([_rgb(color) for color in CHAIN])
    places = np.linspace(0, len(colors) - 1, len(path))
    mixed = [np.interp(places, np.arange(len(colors)), channel) for channel in colors.T]
    ends = np.concatenate([path[1:], path[-1:]])
    return Capsules(path, ends, np.full(len(path), TUBE), np.stack(mixed, axis=-1))


def _spline(points: np.ndarray, steps: int) -> np.ndarray:
    """The Catmull-Rom spline through points [L, 3], in `steps` pieces from each to the next."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    a, b, c, d = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = np.arange(steps)[:, None, None] / steps
    curve = b + (c - a) * t / 2 + (2 * a - 5 * b + 4 * c - d) * t**2 / 2
    curve += (3 * b - a - 3 * c + d) * t**3 / 2
    return np.concatenate([curve.transpose(1, 0, 2).reshape(-1, 3), points[-1:]])


def _as_residues(path: np.ndarray) -> str:
    """Points as a PDB file of one CA each. 3Dmol.js joins them by straight pieces, so a smooth tube
    needs the smooth path."""
    return "".join(
        f"ATOM  {n % 100_000:5d}  CA  GLY A{n % 10_000:4d}    {x:8.3f}{y:8.3f}{z:8.3f}\n"
        for n, (x, y, z) in enumerate(path, start=1)
    )


def _png(capsules: Capsules) -> bytes:
    return png.encode(paint(capsules, WIDTH, HEIGHT))


def _rgb(color: str) -> np.ndarray:
    return np.array(list(bytes.fromhex(color[1:]))) / 255
