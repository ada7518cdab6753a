"""Structure files that are damaged, odd or mislabelled: a clear result or one clear line."""

import gzip
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import gemmi
import numpy as np
import pytest

import biomatrix_jax
from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.protein import files
from biomatrix_jax.structure.protein.chains import Chain, Limits, read_chain
from biomatrix_jax.structure.protein.errors import (
    DamagedChain,
    NoProtein,
    ProteinError,
    TooLong,
    TooManyMissing,
    UnreadableFile,
)
from biomatrix_jax.structure.protein.files import parse
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
UBIQUITIN = gzip.decompress((PROTEINS / "1ubi-backbone.pdb.gz").read_bytes()).decode()


def read(path: Path, content: str | bytes, chain: int = 0) -> Chain:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_chain(parse(path).chains[chain], Limits())


def refused(path: Path, content: str | bytes, why: str, error: type = UnreadableFile) -> None:
    with pytest.raises(error, match=why) as raised:
        read(path, content)
    message = str(raised.value)
    assert "\n" not in message
    assert len(message) < 400
    assert path.name in message or "chain" in message


@pytest.mark.parametrize("name", ["x.pdb", "x.cif", "x.pdb.gz"])
@pytest.mark.parametrize("content", ["", "\n \n"])
def test_empty_file(tmp_path, name, content):
    data = content.encode()
    refused(tmp_path / name, gzip.compress(data) if name.endswith("gz") else data, "empty file")


def test_mmcif_cut_anywhere_is_refused_or_whole(tmp_path):
    """Wherever an archive's file is cut within its last 300 characters, nothing is missed."""
    text = cif_text(range(1, 9))
    assert read(tmp_path / "x.cif", text).sequence == "G" * 8
    for cut in range(1, 300):
        if text[:-cut].endswith("#"):
            continue  # only the end of the last line is gone
        refused(tmp_path / "x.cif", text[:-cut], "cut short|coordinate|no tables of atoms")


def test_an_archives_file_saved_again_without_its_comments_is_whole(tmp_path):
    """As gemmi saves it: the dictionary's name stays, the "#" after each table does not."""
    text = cif_text(range(1, 9))
    document = gemmi.cif.read_string(text)
    (tmp_path / "x.cif").write_text(document.as_string())
    assert "#" not in (tmp_path / "x.cif").read_text()
    assert read_chain(parse(tmp_path / "x.cif").chains[0], Limits()).sequence == "G" * 8
    refused(tmp_path / "x.cif", text.rstrip("#\n").replace("\n#\n", "\n# \n"), "cut short")


def test_mmcif_cut_in_quotes_or_a_text_block(tmp_path):
    refused(tmp_path / "x.cif", "data_x\n_struct.title 'A ti", "unterminated 'string' .line 2.")
    refused(tmp_path / "x.cif", "data_x\n_struct.title\n;A ti\ntle", "unterminated text field")
    refused(tmp_path / "x.cif", "data_x\n_struct.title\n", "cut short")
    refused(tmp_path / "x.cif", "data_x\nloop_\n_a.b\n_a.c\n", "cut short")
    refused(tmp_path / "x.cif", "data_x\n", "no tables of atoms")


def test_pdb_of_an_archive_cut_between_two_lines_is_refused(tmp_path):
    head = PDB_HEAD + "EXPDTA    X-RAY DIFFRACTION\nSEQRES   1 A    4  ALA ALA ALA ALA\n"
    atoms = pdb_text(range(1, 5)) + "TER      17      ALA A   4\n"
    assert read(tmp_path / "x.pdb", head + atoms + "END\n").sequence == "AAAA"
    lines = atoms.splitlines(keepends=True)
    for count in range(1, len(lines) + 1):
        refused(tmp_path / "x.pdb", head + "".join(lines[:count]), "no END: the file is cut short")
    # The first of several models is whole where the next one is cut.
    models = f"{head}MODEL        1\n{atoms}ENDMDL\nMODEL        2\n{lines[0]}"
    assert read(tmp_path / "x.pdb", models).sequence == "AAAA"
    assert read(tmp_path / "x.pdb", PDB_HEAD + atoms).sequence == "AAAA"  # not an archive's


def test_truncated_gzip(tmp_path):
    """Also when the first model was whole already, as the damage may lie before."""
    data = gzip.compress(UBIQUITIN.encode())
    refused(tmp_path / "x.pdb.gz", data[:-20], "damaged or truncated gzip data", BadInput)
    models = gzip.compress(b"MODEL 1\n" + UBIQUITIN.encode() + b"ENDMDL\n" + random.randbytes(9999))
    refused(tmp_path / "x.pdb.gz", models[:-200], "damaged or truncated gzip data", BadInput)


def test_gzip_without_its_name_and_other_wrong_extensions_are_read_by_content(tmp_path):
    expected = read(tmp_path / "a.pdb", UBIQUITIN)
    for name, content in (
        ("b.pdb", gzip.compress(UBIQUITIN.encode())),
        ("c.cif", UBIQUITIN),
        ("d.txt", UBIQUITIN),
        ("e", UBIQUITIN),
    ):
        np.testing.assert_array_equal(read(tmp_path / name, content).backbone, expected.backbone)
    assert read(tmp_path / "f.pdb", cif_text([1, 2])).sequence == "GG"
    refused(tmp_path / "g.pdb.gz", UBIQUITIN, "damaged or truncated gzip data", BadInput)


def test_several_models(tmp_path):
    first, second = (
        "".join(f"MODEL     {m:4}\n{pdb_text([1, 2], b_factor=m)}ENDMDL\n" for m in order)
        for order in ((1, 2), (2, 1))
    )
    assert read(tmp_path / "x.pdb", first).b_factors.tolist() == [1, 1]
    assert read(tmp_path / "x.pdb", second).b_factors.tolist() == [2, 2]
    without = first.replace("MODEL        1\n", "").replace("MODEL        2\n", "")
    assert read(tmp_path / "x.pdb", without).b_factors.tolist() == [1, 1]
    # Rows of a model need not be together.
    rows = [
        cif_row(n, a, m, model=m) for n in (1, 2) for a in ("N", "CA", "C", "O") for m in (3, 1)
    ]
    found = read(tmp_path / "x.cif", CIF_HEAD + "".join(rows) + "#\n")
    assert found.backbone[..., 0].tolist() == [[3] * 4] * 2


def test_models_without_their_records_are_refused(tmp_path):
    frames = pdb_text([1, 2]) + "END\n" + pdb_text([1, 2])
    refused(tmp_path / "x.pdb", frames, r"atoms after the end \(line 10\)")
    refused(
        tmp_path / "x.pdb", pdb_text([1, 2]) * 2, "N of residue ALA 1 .line 9. is", DamagedChain
    )
    twice = cif_text([1, 2]) + cif_text([1, 2])
    refused(tmp_path / "x.cif", twice, "duplicate block name")


def test_chains_with_one_letter_are_refused_and_others_go_on(tmp_path):
    text = pdb_text([1, 2]) + "TER\n" + pdb_text([1, 2], residue="GLY") + pdb_text([1], chain="B")
    refused(
        tmp_path / "x.pdb", text, "GLY 1 .line 10.: another residue has this number", DamagedChain
    )
    assert read(tmp_path / "x.pdb", text, chain=1).sequence == "A"


def test_duplicate_residues(tmp_path):
    again = pdb_text([1, 2, 3]) + residue_lines(2, 3.8)
    refused(
        tmp_path / "x.pdb", again, "atom N of residue ALA 2 .line 13. is there twice", DamagedChain
    )
    located = pdb_text([1]) + residue_lines(2, 4, altloc="A") * 2
    refused(tmp_path / "x.pdb", located, "atom N of residue ALA 2 .line 9.", DamagedChain)
    rows = cif_text([1, 2, 2])
    refused(tmp_path / "x.cif", rows, "chain Z: atom N of residue GLY 2", DamagedChain)


def test_a_residue_in_two_parts_is_whole(tmp_path):
    text = (
        residue_lines(1, atoms=("N", "CA"))
        + residue_lines(2, 4)
        + residue_lines(1, atoms=("C", "O"))
    )
    found = read(tmp_path / "x.pdb", text)
    assert found.sequence == "AA"
    assert not np.isnan(found.backbone).any()


def test_chain_of_hetatm_groups(tmp_path):
    text = pdb_text([1, 2]) + residue_lines(3, 9, residue="MSE", chain="H", hetero=True)
    (tmp_path / "x.pdb").write_text(text)
    chains = parse(tmp_path / "x.pdb").chains
    assert [chain.id for chain in chains] == ["A", "H"]
    with pytest.raises(NoProtein, match="x, chain H: no protein residue"):
        read_chain(chains[1], Limits())
    refused(tmp_path / "y.cif", cif_text([1, 2], group="HETATM"), "no protein residue", NoProtein)


def test_nucleic_acids(tmp_path):
    text = "".join(atom_line(n, atom, residue="DG") for n in (1, 2) for atom in ("P", "N1", "C2"))
    refused(tmp_path / "x.pdb", text, "no protein residue", NoProtein)


def test_blank_chain_ids(tmp_path):
    assert read(tmp_path / "x.pdb", UBIQUITIN.replace(" A ", "   ")).id == ""
    (tmp_path / "x.pdb").write_text(pdb_text([1, 2], chain=" ", atoms=("CA",)))
    with pytest.raises(TooManyMissing, match=r"^x: more than 20%"):
        read_chain(parse(tmp_path / "x.pdb").chains[0], Limits())
    assert read(tmp_path / "x.cif", cif_text([1, 2], chain="?")).id == ""


def test_chains_of_1280_residues_and_one_more(tmp_path):
    assert len(read(tmp_path / "x.pdb", pdb_text(range(1, 1281))).sequence) == 1280
    refused(tmp_path / "x.pdb", pdb_text(range(1, 1282)), "longer than 1280 residues", TooLong)
    # A gap counts, and one that no one can mean does not take a billion residues of memory.
    refused(tmp_path / "x.pdb", pdb_text([*range(1, 1280), 1281]), "longer than", TooLong)
    far = cif_row(1, "CA", 0) + cif_row(900_000_000, "CA", 900_000)
    refused(tmp_path / "x.cif", CIF_HEAD + far + "#\n", "longer than 1280", TooLong)


def test_missing_backbone_atoms(tmp_path):
    atoms = {7: ("N", "CA", "C"), 9: ("CA",), 12: ("N",)}
    text = "".join(
        residue_lines(n, 3.8 * n, atoms=atoms.get(n, ("N", "CA", "C", "O"))) for n in range(1, 30)
    )
    found = read(tmp_path / "x.pdb", text)
    assert np.flatnonzero(np.isnan(found.backbone).all(axis=(1, 2))).tolist() == [6, 8, 11]
    assert np.isnan(found.backbone).sum() == 3 * 12


@pytest.mark.parametrize("spelling", ["     nan", "     NaN", "NAN     "])
def test_coordinates_that_are_no_number_are_missing(tmp_path, spelling):
    text = pdb_text(range(1, 20)).replace(f"{7.6 + 0.2:8.3f}", spelling)
    found = read(tmp_path / "x.pdb", text)
    assert np.flatnonzero(np.isnan(found.backbone).any(axis=(1, 2))).tolist() == [2]
    rows = (
        cif_text(range(1, 20))
        .replace(f" {7.6:.3f} ", f" {spelling.strip()} ")
        .replace(f" {11.4:.3f} ", " ? ")
    )
    found = read(tmp_path / "x.cif", rows)
    assert np.flatnonzero(np.isnan(found.backbone).any(axis=(1, 2))).tolist() == [1, 2]


@pytest.mark.parametrize(
    "value", ["inf", "-Infinity", "1e39", "1e6", "0x10", "1_0", "1.2.3", "--1", "\u0661.\u0665"]
)
def test_coordinates_that_cannot_be_are_refused(tmp_path, value):
    refused(tmp_path / "x.cif", cif_text([1, 2]).replace(" 7.600 ", f" {value} "), "coordinate")
    refused(
        tmp_path / "x.pdb", pdb_text([1, 2]).replace("   3.800", f"{value:>8}"[:8]), "coordinates"
    )


LINE = "ATOM      1  CA  ALA A   1      12.345 -67.890   1.000  1.00 10.00           C\n"
SHIFTED = {
    "a serial of six digits pushes the rest": LINE.replace("    1  CA", "100000  CA"),
    "the same without a chain": LINE.replace("    1  CA  ALA A", "100000  CA  ALA  "),
    "a residue number of five digits pushes the rest": LINE.replace("A   1 ", "A10000 "),
    "a residue number of five digits in the insertion code": LINE.replace("A   1 ", "A10000"),
    "hybrid-36": LINE.replace("A   1 ", "AA000 "),
    "stars for a residue number": LINE.replace("A   1 ", "A**** "),
    "two numbers in one field": LINE.replace("A   1 ", "A 1 2 "),
    "a coordinate of nine characters pushes the rest": LINE.replace(" -67.890", "-1067.890"),
    "a coordinate of nine characters eats the blank": LINE.replace("    12.345", "-11112.345"),
    "two decimals": LINE.replace("12.345", " 12.34"),
    "cut in the coordinates": LINE[:53] + "\n",
    "cut before the coordinates": LINE[:26] + "\n",
    "cut after the residue's name": LINE[:20] + "\n",
    "cut after the record's name": LINE[:4] + "\n",
    "stars for a coordinate": LINE.replace("  12.345", "********"),
    "columns lost": LINE.replace("ALA A", "ALA"),
    "a tab": LINE.replace("ALA A", "ALA\tA").replace("   1      12", "1      12"),
    "a chain id of two letters": LINE.replace("ALA A", "ALAAB"),
    "no record name": LINE.replace("ATOM  ", "ATMO  "),
    "a letter before the record": "x" + LINE,
    "a letter less": LINE[1:],
    "no end of the line before": LINE[:-1] + LINE.replace("1 ", "2 "),
    "no number for an occupancy": LINE.replace("1.00 10", "1.0O 10"),
    "a B-factor of seven characters pushes the rest": LINE.replace("  1.00 10.00", "  1.0-1000.00"),
}


@pytest.mark.parametrize("line", SHIFTED.values(), ids=SHIFTED)
def test_columns_that_moved_are_refused(tmp_path, line):
    """Of each Biopython reads something, most of it wrong, or stops at a line it does not name."""
    refused(tmp_path / "x.pdb", pdb_text([5, 6]) + line + pdb_text([7, 8]), "line 9")


def test_numbers_beside_the_coordinates_may_be_absent(tmp_path):
    text = "".join(line[:54] + "\n" for line in pdb_text([1, 2]).splitlines())
    assert np.isnan(read(tmp_path / "x.pdb", text).b_factors).all()
    for absent in ("******", "   nan", "NaN   "):
        other = pdb_text([1, 2]).replace("  1.00  0.00 ", f"  1.00{absent} ")
        assert np.isnan(read(tmp_path / "x.pdb", other).b_factors).all()
    # Of alternate locations without occupancies the first.
    located = residue_lines(1, 1, altloc="A") + residue_lines(1, 2, altloc="B")
    bare = "".join(line[:54] + "\n" for line in located.splitlines())
    assert read(tmp_path / "x.pdb", bare).backbone[0, 0, 0] == 1


@pytest.mark.parametrize("serial", ["A0000", "*****", "     "])
def test_serial_numbers_do_not_matter(tmp_path, serial):
    assert read(tmp_path / "x.pdb", pdb_text([1, 2], serial=serial)).sequence == "AA"
    seven = pdb_text([1, 2]).replace("ATOM      1", "ATOM1000000")
    assert read(tmp_path / "x.pdb", seven).sequence == "AA"


def test_a_field_too_few_in_mmcif_is_refused(tmp_path):
    text = cif_text(range(1, 9))
    row = cif_row(5, "C", 19.0, 2.5)
    assert row in text
    for token in row.split():
        fewer = (
            row.replace(f"{token} ", "", 1) if not row.endswith(f" {token}\n") else row[:-3] + "\n"
        )
        assert len(fewer.split()) == len(row.split()) - 1
        refused(tmp_path / "x.cif", text.replace(row, fewer), "out of place|cut short|line")


def test_binary_garbage(tmp_path):
    random.seed(0)
    for size in (1, 100, 10_000, 3_000_000):
        refused(tmp_path / "x.pdb", random.randbytes(size), "not a PDB or mmCIF file|no text")
    refused(tmp_path / "x.pdb", b"\0" * 2_000_000, "no text: a line of")
    refused(
        tmp_path / "x.cif", b"data_" + random.randbytes(10_000), "line|tables of atoms|cut short"
    )


def test_other_encodings(tmp_path):
    title = "TITLE     DE LA PROTÉINE\n"
    for encoding in ("latin-1", "utf-8", "utf-8-sig"):
        (tmp_path / "x.pdb").write_bytes((title + UBIQUITIN).encode(encoding))
        assert parse(tmp_path / "x.pdb").title.startswith("DE LA PROTÉINE")
        (tmp_path / "x.cif").write_bytes(cif_text([1]).replace("small", "é").encode(encoding))
        assert parse(tmp_path / "x.cif").title == "A é mmCIF"
    (tmp_path / "x.pdb").write_bytes(UBIQUITIN.replace("\n", "\r\n").encode())
    assert len(read_chain(parse(tmp_path / "x.pdb").chains[0], Limits()).sequence) == 76
    refused(tmp_path / "x.pdb", UBIQUITIN.encode("utf-16"), "not a PDB or mmCIF file")


def test_what_mmcif_lacks_is_named(tmp_path):
    text = cif_text([1, 2]).replace("_atom_site.Cartn_y", "_atom_site.Cartn_q")
    refused(tmp_path / "x.cif", text, "the table of atoms has no column Cartn_y")
    text = cif_text([1, 2]).replace("_atom_site.Cartn_y", "_atom_site.Cartn_x")
    refused(tmp_path / "x.cif", text, "duplicate tag _atom_site.Cartn_x")
    small = "data_x\nloop_\n_atom_site_label\n_atom_site_fract_x\nC1 0.5\n"
    refused(tmp_path / "x.cif", small, "no tables of atoms")
    for number in ("two", "2.0", "1" * 5000):
        text = cif_text([1, 2]).replace(" 2 Z 1\n", f" {number} Z 1\n")
        refused(tmp_path / "x.cif", text, f"residue number '{number[:9]}")
    refused(
        tmp_path / "x.cif",
        cif_text([1, 2]).replace(" 2 Z 1\n", " . Z 1\n"),
        "an atom without a residue number",
        DamagedChain,
    )


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(BadInput, match="No such file"):
        parse(tmp_path / "none.pdb")
    with pytest.raises(BadInput, match="Is a directory"):
        parse(tmp_path)


def test_errors_about_files_are_of_one_kind(tmp_path):
    (tmp_path / "x.pdb").touch()
    with pytest.raises(ProteinError) as error:
        parse(tmp_path / "x.pdb")
    assert (error.value.entry, error.value.chain) == (str(tmp_path / "x.pdb"), "")


def test_large_files_are_refused_by_their_atoms_or_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_ATOMS", 8)
    assert read(tmp_path / "x.pdb", pdb_text([1, 2])).sequence == "AA"
    refused(tmp_path / "x.pdb", pdb_text([1, 2, 3]), "too large: put the chains into several files")
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    refused(tmp_path / "x.pdb", "REMARK\n" * 200, "more than 1,000 bytes")
    refused(tmp_path / "x.pdb.gz", gzip.compress(b"REMARK\n" * 200), "more than 1,000 bytes")


def memory(path: Path) -> tuple[int, str]:
    """The most that reading a file takes, in bytes, and what came of it."""
    parse(PROTEINS / "2beg-backbone.pdb.gz")  # what is imported for it stays
    tracemalloc.start()
    try:
        found = parse(path)
        result = f"{len(found.chains)} chains"
    except BadInput as error:
        result = str(error)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak, result


def test_what_is_not_kept_takes_no_memory(tmp_path):
    """Three megabytes of water, of side chains and of further models pass through."""
    water = atom_line(9, "O", residue="HOH", hetero=True) * 10_000
    sides = atom_line(1, "CB", altloc="A") * 10_000
    models = "ENDMDL\nMODEL 2\n" + pdb_text([1]) * 5_000
    (tmp_path / "x.pdb").write_text(pdb_text([1, 2]) + sides + water + models)
    peak, result = memory(tmp_path / "x.pdb")
    assert result == "1 chains"
    assert peak < 1e6


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc says how much memory was taken")
@pytest.mark.parametrize(("name", "most"), [("x.pdb.gz", 0.9e6), ("x.cif", 2e6)])
def test_a_file_of_100_megabytes_is_read_in_bounded_memory(tmp_path, name, most):
    """A sixth of its atoms are backbone."""
    atoms = ("N", "CA", "C", "O", *(f"H{n}" for n in range(20)))
    if "pdb" in name:
        text = "".join(residue_lines(n, atoms=atoms) for n in range(1, 2201))
        start, mark, other, end = "", " ALA A", " ALA {}", ""
    else:
        text = "".join(cif_row(n, atom) for n in range(1, 2501) for atom in atoms)
        start, mark, other, end = CIF_HEAD, " Z 1\n", " {} 1\n", "#\n"
    chains = "ABCDEFGHIJKLMNOPQRSTUVWXY" if "pdb" in name else range(30)
    size = 0
    with (gzip.open if name.endswith("gz") else open)(tmp_path / name, "wb") as file:
        file.write(start.encode())
        for chain in chains:
            size += file.write(text.replace(mark, other.format(chain)).encode())
        file.write(end.encode())
    assert size > 95e6
    # Not by ru_maxrss: that of a new process begins with what its parent had.
    script = f"""
import pathlib, re
from biomatrix_jax.structure.protein.files import parse
found = parse(pathlib.Path({str(tmp_path / name)!r}))
status = pathlib.Path("/proc/self/status").read_text()
print(len(found.chains), re.search(r"VmHWM:\\s+(\\d+) kB", status)[1])
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    count, kilobytes = map(int, result.stdout.split())
    assert count == len(chains)
    assert kilobytes < most
