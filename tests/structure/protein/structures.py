"""Structure files for tests, line by line."""

from collections.abc import Iterable

from biomatrix_jax.structure.protein.chains import BACKBONE


def atom_line(
    number, atom="CA", x=0.0, residue="ALA", chain="A", code=" ", hetero=False, altloc=" ",
    occupancy=1.0, b_factor=0.0, serial="1",
) -> str:  # fmt: skip
    kind = "HETATM" if hetero else "ATOM"
    return (
        f"{kind:6}{serial:>5}  {atom:3}{altloc}{residue:>3} {chain}{number:4}{code}   "
        f"{x:8.3f}{0:8.3f}{0:8.3f}{occupancy:6.2f}{b_factor:6.2f}          {atom[0]:>2}\n"
    )


def residue_lines(number, x=0.0, atoms=BACKBONE, **rest) -> str:
    return "".join(atom_line(number, atom, x + i / 10, **rest) for i, atom in enumerate(atoms))


def pdb_text(numbers: Iterable[int], **rest) -> str:
    """A straight chain of alanines."""
    return "".join(residue_lines(n, 3.8 * i, **rest) for i, n in enumerate(numbers))


PDB_HEAD = (
    "HEADER    HYDROLASE                               01-JAN-99   9XYZ              \n"
    "TITLE     A STRUCTURE WITH A LONG                                               \n"
    "TITLE    2 TITLE, IN TWO LINES                                                  \n"
)

CIF_HEAD = """data_9ABC
#
_audit_conform.dict_name mmcif_pdbx.dic
#
_entry.id 9ABC
#
_struct.entry_id 9ABC
_struct.title 'A small mmCIF'
#
loop_
_atom_site.group_PDB
_atom_site.id
_atom_site.type_symbol
_atom_site.label_atom_id
_atom_site.label_alt_id
_atom_site.label_comp_id
_atom_site.label_asym_id
_atom_site.label_seq_id
_atom_site.pdbx_PDB_ins_code
_atom_site.Cartn_x
_atom_site.Cartn_y
_atom_site.Cartn_z
_atom_site.occupancy
_atom_site.B_iso_or_equiv
_atom_site.auth_seq_id
_atom_site.auth_asym_id
_atom_site.pdbx_PDB_model_num
"""


def cif_row(
    number, atom="CA", x=0.0, y=0.0, residue="GLY", chain="Z", code="?", group="ATOM", altloc=".",
    occupancy=1.0, b_factor=9.0, model=1, asym="A",
) -> str:  # fmt: skip
    return (
        f"{group} 1 {atom.strip(chr(34))[0]} {atom} {altloc} {residue} {asym} {number} {code} "
        f"{x:.3f} {y:.3f} 0.000 {occupancy:.2f} {b_factor:.2f} {number} {chain} {model}\n"
    )


def cif_text(numbers: Iterable[int], **rest) -> str:
    """A straight chain of glycines, the authors' chain Z."""
    rows = [
        cif_row(n, atom, 3.8 * n, k + 0.5, **rest)
        for n in numbers
        for k, atom in enumerate(BACKBONE)
    ]
    return CIF_HEAD + "".join(rows) + "#\n"
