"""Molecules as inline SVG in the page's own colors, so that they follow light and dark.

Flat ones are drawn by RDKit; conformers are projected onto the plane in which they are widest and
drawn as balls and sticks.
"""

import re

import numpy as np
from markupsafe import Markup
from rdkit import Chem
from rdkit.Chem import rdDepictor
from rdkit.Chem.Draw import rdMolDraw2D

WIDTH, HEIGHT = 220, 170  # pixels of the drawing

# Elements with a color of their own: the CSS variable --atom-<symbol>. Others are drawn as carbon.
COLORED = ("C", "N", "O", "S", "P", "F", "Cl", "Br", "I", "H")
_ELEMENTS = {Chem.GetPeriodicTable().GetAtomicNumber(symbol): symbol for symbol in COLORED}

BALL = 0.46  # of an atom's covalent radius
DEPTH = 0.25  # how much smaller and fainter the farthest atoms are


def draw_flat(mol: Chem.Mol) -> Markup:
    """The structural formula, all molecules with bonds of one length unless they do not fit."""
    mol = Chem.RemoveHs(Chem.Mol(mol))
    rdDepictor.Compute2DCoords(mol)
    rdDepictor.StraightenDepiction(mol)
    drawer = rdMolDraw2D.MolDraw2DSVG(WIDTH, HEIGHT)
    options = drawer.drawOptions()
    options.clearBackground = False
    options.fixedBondLength = 26
    options.bondLineWidth = 1.6
    options.scaleBondWidth = False
    options.minFontSize = 9
    options.multipleBondOffset = 0.17
    options.padding = 0.05
    # RDKit writes colors as numbers; each element gets a number of its own, replaced below.
    options.setAtomPalette({-1: _marker(6)} | {number: _marker(number) for number in _ELEMENTS})
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, mol)
    drawer.FinishDrawing()
    body = drawer.GetDrawingText()
    body = body[body.index(">", body.index("<!-- END")) + 1 : body.rindex("</svg>")]
    body = re.sub(r" class='[^']*'|fill-rule:evenodd;|;stroke-opacity:1", "", body)
    body = re.sub(r"#([0-9A-Fa-f]{6})", lambda match: _color(match.group(1)), body)
    return _svg(body, f"structural formula of {Chem.MolToSmiles(mol)}")


def draw_conformer(mol: Chem.Mol) -> Markup:
    """The molecule's first conformer as balls and sticks, seen along its thinnest direction.

    Depth is shown by size and strength. The picture is scaled to fill its frame.
    """
    # A page's y points down: turned half around x, which is a rotation, rather than flipped.
    xyz = turned(mol.GetConformer().GetPositions()) * (1, -1, -1)
    table = Chem.GetPeriodicTable()
    radii = np.array([table.GetRcovalent(atom.GetAtomicNum()) * BALL for atom in mol.GetAtoms()])
    low, high = (xyz[:, :2] - radii[:, None]).min(0), (xyz[:, :2] + radii[:, None]).max(0)
    scale = min(np.array([WIDTH - 12, HEIGHT - 12]) / np.maximum(high - low, 1e-3))
    scale = min(scale, 34)  # pixels an angstrom: water does not fill the frame
    x, y = ((xyz[:, :2] - (low + high) / 2) * scale + (WIDTH / 2, HEIGHT / 2)).T
    z = xyz[:, 2]
    far = (z.max() - z) / max(np.ptp(z), 1e-6) * DEPTH if np.ptp(z) > 0.5 else np.zeros(len(z))

    shapes = []  # (depth, SVG)
    for bond in mol.GetBonds():
        a, b = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        middle = (x[a] + x[b]) / 2, (y[a] + y[b]) / 2
        for end in (a, b):
            color = _ball(mol.GetAtomWithIdx(end))
            half = _stick((x[end], y[end]), middle, 0.15 * scale, color, 1 - far[end])
            shapes.append((min(z[a], z[b]) - 1e-3, half))  # behind both its atoms
    for i, atom in enumerate(mol.GetAtoms()):
        ball = _sphere(x[i], y[i], radii[i] * scale * (1 - far[i]), _ball(atom), 1 - far[i])
        shapes.append((z[i], ball))
    shapes.sort(key=lambda shape: shape[0])
    return _svg("".join(svg for _, svg in shapes), "conformer, as balls and sticks")


def turned(xyz: np.ndarray) -> np.ndarray:
    """Turns [A, 3] so that its widest direction is x and its thinnest z; no mirror image."""
    centred = xyz - xyz.mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred).eigenvectors.T[::-1]  # the widest first
    if np.linalg.det(axes) < 0:
        axes = -axes
    return centred @ axes.T


def _stick(start, end, width: float, color: str, strength: float) -> str:
    return (
        f'<path style="stroke:{color}" stroke-width="{width:.1f}" opacity="{strength:.2f}" '
        f'd="M{start[0]:.1f} {start[1]:.1f}L{end[0]:.1f} {end[1]:.1f}"/>'
    )


def _sphere(x: float, y: float, radius: float, color: str, strength: float) -> str:
    shine = 0.3 * radius
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill-opacity="{strength:.2f}" '
        f'style="fill:{color};stroke:var(--ball-edge)"/>'
        f'<circle cx="{x - shine:.1f}" cy="{y - shine:.1f}" r="{shine:.1f}" '
        f'style="fill:#fff" opacity="{0.35 * strength:.2f}"/>'
    )


def _marker(number: int) -> tuple[float, float, float]:
    return (1 / 255, 2 / 255, number / 255)


def _color(hexadecimal: str) -> str:
    red, green, number = bytes.fromhex(hexadecimal)
    symbol = _ELEMENTS.get(number, "C") if (red, green) == (1, 2) else "C"
    return f"var(--atom-{symbol})"


def _ball(atom: Chem.Atom) -> str:
    symbol = atom.GetSymbol()
    if symbol in ("C", "H"):
        return f"var(--ball-{symbol})"
    return f"var(--atom-{symbol if symbol in COLORED else 'C'})"


def _svg(body: str, title: str) -> Markup:
    head = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        WIDTH, HEIGHT, title
    )
    return head + Markup(body) + Markup("</svg>")
