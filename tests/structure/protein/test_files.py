"""Finding structure files and reading them: the same as Biopython where it reads all, and stricter
where it drops something in silence."""

import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from Bio.PDB.MMCIFParser import MMCIFParser
from Bio.PDB.PDBParser import PDBParser

import biomatrix_jax
from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein.chains import BACKBONE, Limits, read_chain
from biomatrix_jax.structure.protein.files import name_of, parse, structure_files
from tests.structure.protein.structures import (
    CIF_HEAD,
    PDB_HEAD,
    atom_line,
    cif_row,
    cif_text,
    pdb_text,
    residue_lines,
)

PROTEINS = Path(biomatrix_jax.__file__).parent / "assets/proteins"


def content(chain) -> list:
    return [
        (
            residue.id,
            residue.get_resname(),
            [(n, residue[n].coord.tolist(), residue[n].bfactor) for n in BACKBONE if n in residue],
        )
        for residue in chain
        if residue.id[0] == " "
    ]


def by_biopython(text: str) -> dict[str, list]:
    parser = MMCIFParser if text.startswith("data_") else PDBParser
    model = next(iter(parser(QUIET=True).get_structure("", io.StringIO(text))))
    return {chain.id: content(chain) for chain in model}


def by_us(path: Path, text: str) -> dict[str, list]:
    path.write_text(text)
    return {chain.id: content(chain) for chain in parse(path).chains}


@pytest.mark.parametrize("entry", ["1ejg", "2beg", "4zhl", "7cfn"])
def test_real_entries_are_read_as_biopython_reads_them(tmp_path, entry):
    text = gzip.decompress((PROTEINS / f"{entry}-backbone.pdb.gz").read_bytes()).decode()
    expected = by_biopython(text)
    assert by_us(tmp_path / "x.pdb", text) == expected
    assert sum(map(len, expected.values())) > 20


ALTERNATES = {
    "the likelier location": [("A", 0.4, 1), ("B", 0.6, 2)],
    "the first of equals": [("A", 0.5, 1), ("B", 0.5, 2)],
    "three, the last": [("A", 0.3, 1), ("B", 0.3, 2), ("C", 0.4, 3)],
    "a blank beside a letter": [(" ", 0.3, 1), ("B", 0.7, 2)],
}


@pytest.mark.parametrize("locations", ALTERNATES.values(), ids=ALTERNATES)
def test_alternate_locations_are_chosen_as_biopython_does(tmp_path, locations):
    text = residue_lines(1, atoms=("N",))
    for altloc, occupancy, x in locations:
        text += atom_line(1, "CA", x, altloc=altloc, occupancy=occupancy)
    text += residue_lines(1, atoms=("C", "O"))
    found = by_us(tmp_path / "x.pdb", text)
    assert found == by_biopython(text)
    [(_, _, atoms)] = found["A"]
    best = max(locations, key=lambda location: location[1])
    assert {name: xyz[0] for name, xyz, _ in atoms}["CA"] == best[2]


def mutation(second: str, shared: tuple[str, ...] = ()) -> str:
    """A serine and a second residue at its place; of the first, `shared` atoms have no letter."""
    text = pdb_text([1])
    for residue, altloc, x, atoms in (("SER", "A", 5, BACKBONE), (second, "B", 6, BACKBONE)):
        for atom in atoms:
            blank = residue == "SER" and atom in shared
            if residue != "SER" and atom in shared:
                continue
            letter = " " if blank else altloc
            text += atom_line(2, atom, x, residue=residue, altloc=letter, occupancy=0.5)
    return text + pdb_text([3])


@pytest.mark.parametrize("shared", [(), ("N",)], ids=["apart", "an atom in common"])
def test_mutations_at_one_place_are_chosen_as_biopython_does(tmp_path, shared):
    text = mutation("THR", shared)
    found = by_us(tmp_path / "x.pdb", text)
    assert found == by_biopython(text)
    assert [residue for _, residue, _ in found["A"]] == ["ALA", "SER" if shared else "THR", "ALA"]
    assert read_chain(parse(tmp_path / "x.pdb").chains[0], Limits()).numbers[1] == (2, "")


def test_mutations_whose_atoms_take_turns_lose_none(tmp_path):
    """Of such a residue Biopython keeps the first atoms, and says that it is defined twice."""
    apart = mutation("THR")
    first, second = (
        [line for line in apart.splitlines(keepends=True) if f"{name} A   2" in line]
        for name in ("ASER", "BTHR")
    )
    assert len(first) == len(second) == 4
    turns = "".join(a + b for a, b in zip(first, second, strict=True))
    for ending in ("", atom_line(2, "CB", 5, residue="SER", altloc="A")):
        text = apart.replace("".join(first + second), turns + ending)
        assert by_us(tmp_path / "x.pdb", text) == by_biopython(apart)
        assert read_chain(parse(tmp_path / "x.pdb").chains[0], Limits()).sequence == "ATA"


def test_mmcif_is_read_as_biopython_reads_it(tmp_path):
    rows = [
        cif_row(5, "N", 1, group="HETATM", residue="HOH", chain="W"),
        *[cif_row(1, atom, 1) for atom in BACKBONE],
        *[cif_row(1, atom, 2, code="A") for atom in BACKBONE],
        cif_row(2, "N", 3),
        cif_row(2, "CA", 3, altloc="A", occupancy=0.2),
        cif_row(2, "CA", 4, altloc="B", occupancy=0.8),
        cif_row(2, '"C5\'"', 9),
        *[cif_row(-3, atom, 5, chain="AAA", residue="MSE") for atom in BACKBONE],
        *[cif_row(1, atom, 9, model=2) for atom in BACKBONE],
    ]
    text = CIF_HEAD + "".join(rows) + "#\n"
    found = by_us(tmp_path / "x.cif", text)
    assert found == by_biopython(text)
    assert list(found) == ["W", "Z", "AAA"]
    assert [id for id, _, _ in found["Z"]] == [(" ", 1, " "), (" ", 1, "A"), (" ", 2, " ")]


def test_mmcif_rows_may_be_broken_anywhere_and_blocks_of_text_are_values(tmp_path):
    text = cif_text(range(1, 7))
    whole = by_us(tmp_path / "a.cif", text)
    tokens = text[text.index("\nATOM") + 1 :].rstrip("#\n").split()
    broken = CIF_HEAD + "\n".join(" ".join(tokens[i : i + 5]) for i in range(0, len(tokens), 5))
    note = "\n_x.note\n;ATOM 1 loop_\n_y 'it''s\n;\n#\n"
    assert (
        by_us(tmp_path / "b.cif", broken.replace("\n#\nloop_", note + "loop_") + "\n#\n") == whole
    )


def test_mmcif_without_optional_columns_is_read(tmp_path):
    """PyMOL writes the archive's chains and numbers alone, and decoders no B-factors."""
    text = cif_text([4, 5])
    for column in ("auth_asym_id", "auth_seq_id", "B_iso_or_equiv", "occupancy", "label_alt_id"):
        names = [line for line in text.splitlines() if line.startswith("_atom_site.")]
        place = names.index(f"_atom_site.{column}")
        lines = []
        for line in text.splitlines():
            values = line.split()
            if line.startswith("ATOM"):
                line = " ".join(values[:place] + values[place + 1 :])
            if line != f"_atom_site.{column}":
                lines.append(line)
        text = "\n".join(lines) + "\n"
    (tmp_path / "x.cif").write_text(text)
    [chain] = parse(tmp_path / "x.cif").chains
    read = read_chain(chain, Limits())
    assert (read.id, read.sequence, read.numbers) == ("A", "GG", ((4, ""), (5, "")))
    assert np.isnan(read.b_factors).all()


def test_ids_and_titles(tmp_path):
    path = tmp_path / "a.b.pdb"
    path.write_text(PDB_HEAD + pdb_text([1]))
    assert parse(path).id == "9XYZ"
    assert parse(path).title == "A STRUCTURE WITH A LONG TITLE, IN TWO LINES"
    path.write_text(pdb_text([1]))
    assert (parse(path).id, parse(path).title) == ("a.b", "")
    (tmp_path / "x.cif").write_text(cif_text([1]))
    assert (parse(tmp_path / "x.cif").id, parse(tmp_path / "x.cif").title) == (
        "9ABC",
        "A small mmCIF",
    )


def test_names_of_entries_are_those_of_files_without_the_format():
    names = ["1abc.pdb", "d.2.cif.gz", "X.ENT", "y.mmCIF.gz", "notes.txt", ".pdb", "z.gz"]
    expected = ["1abc", "d.2", "X", "y", "notes.txt", ".pdb", "z.gz"]
    assert [name_of(Path("dir") / name) for name in names] == expected


def test_files_of_folders_and_patterns_come_in_order(tmp_path):
    for name in ("b.cif.gz", "a.pdb", "c.txt", "sub/d.ent", "sub/e.PDB", "f.cif/g.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = lambda where: [str(p.relative_to(tmp_path)) for p in structure_files(where)]  # noqa: E731
    assert found(tmp_path) == ["a.pdb", "b.cif.gz"]
    assert found(f"{tmp_path}/**/*") == ["a.pdb", "b.cif.gz", "sub/d.ent", "sub/e.PDB"]
    assert found(f"{tmp_path}/*.p?b") == ["a.pdb"]
    assert found(tmp_path / "c.txt") == ["c.txt"]  # by its content
    (tmp_path / "x[1].pdb").touch()
    assert found(tmp_path / "x[1].pdb") == ["x[1].pdb"]
    for where, message in (
        (tmp_path / "none", "no such file or folder"),
        (tmp_path / "f.cif", r"no structure file \(.pdb, .ent"),
        (f"{tmp_path}/z*", "no structure file"),
    ):
        with pytest.raises(BadInput, match=message):
            structure_files(where)
