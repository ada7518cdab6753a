"""BinaryCIF: each encoding undone, files read as the mmCIF files they are of, damage refused."""

import gzip
import io
import json
import warnings

import msgpack
import numpy as np
import pytest

from biomatrix_jax.structure.protein import bcif_reader, commands
from biomatrix_jax.structure.protein.bcif_reader import _decoded
from biomatrix_jax.structure.protein.chains import BACKBONE, Limits, read_chain
from biomatrix_jax.structure.protein.errors import UnreadableFile
from biomatrix_jax.structure.protein.files import parse, structure_files
from tests.structure.protein import bcif_files
from tests.structure.protein.bcif_files import bcif, tables
from tests.structure.protein.structures import CIF_HEAD, cif_row, cif_text, pdb_text


def undone(encoded) -> list:
    return _decoded(bcif_files.data(encoded)).tolist()


@pytest.mark.parametrize("unsigned", [False, True])
@pytest.mark.parametrize("size", [1, 2])
def test_packed_integers_reach_over_the_limits_of_their_type(size, unsigned):
    values = [0, 1, 126, 127, 128, 254, 255, 256, 1000, 32767, 65535, 65536, 200_000]
    if not unsigned:
        values += [-1, -127, -128, -129, -32768, -32769, -200_000, 5]
    assert undone(bcif_files.packed(values, unsigned, size)) == values


def test_the_specification_s_own_examples():
    """Of encoding.md: fixed point, run length, delta, integer packing."""
    numbers = bcif_files.byte_array([120, 123, 12])
    assert undone((numbers[0], [{"kind": "FixedPoint", "factor": 100}, *numbers[1]])) == [
        1.2,
        1.23,
        0.12,
    ]
    runs = bcif_files.byte_array([1, 3, 2, 1, 3, 2])
    run_length = {"kind": "RunLength", "srcType": 3, "srcSize": 6}
    assert undone((runs[0], [run_length, *runs[1]])) == [1, 1, 1, 2, 3, 3]
    steps = bcif_files.byte_array([0, 3, 2, 1])
    delta = {"kind": "Delta", "origin": 1000, "srcType": 3}
    assert undone((steps[0], [delta, *steps[1]])) == [1000, 1003, 1005, 1006]
    parts = bcif_files.byte_array([1, 2, -3, 127, 1], 1, "<i1")
    packing = {"kind": "IntegerPacking", "byteCount": 1, "isUnsigned": False, "srcSize": 4}
    assert undone((parts[0], [packing, *parts[1]])) == [1, 2, -3, 128]


def test_quantized_numbers_span_the_interval():
    """0.5 to 2.5 in steps of 0.5."""
    data, encoding = bcif_files.byte_array([0, 2, 4], 4, "<u1")
    quantized = {"kind": "IntervalQuantization", "min": 0.5, "max": 2.5, "numSteps": 5}
    assert undone((data, [quantized, *encoding])) == [0.5, 1.5, 2.5]


@pytest.mark.parametrize(
    ("kind", "dtype"),
    zip(
        (1, 2, 3, 4, 5, 6, 32, 33),
        ("<i1", "<i2", "<i4", "<u1", "<u2", "<u4", "<f4", "<f8"),
        strict=True,
    ),
)
def test_types_of_bytes(kind, dtype):
    assert undone(bcif_files.byte_array([3, 0, 100], kind, dtype)) == [3, 0, 100]


def test_strings_are_shared_and_may_be_absent():
    values = ["N", "CA", "CA", "", "Ä", "N"]
    assert undone(bcif_files.strings(values)) == values
    _, encoding = bcif_files.strings(["a", "b"])
    rows, dropped = bcif_files.byte_array([1, -1, 0])
    assert undone((rows, [{**encoding[0], "dataEncoding": dropped}])) == ["b", "", "a"]


def atoms(path) -> list:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        entry = parse(path)
    chains = [
        (
            chain.id,
            [
                (r.id, r.get_resname(), [(a.id, a.coord.tolist(), a.bfactor) for a in r])
                for r in chain
            ],
        )
        for chain in entry.chains
    ]
    return [entry.id, entry.title, chains]


ROWS = [
    cif_row(5, "N", 1, group="HETATM", residue="HOH", chain="W"),
    *[cif_row(1, atom, 1.234, 300.5) for atom in BACKBONE],
    *[cif_row(1, atom, -20, code="A") for atom in BACKBONE],
    cif_row(2, "N", 3),
    cif_row(2, "CA", 3, altloc="A", occupancy=0.2),
    cif_row(2, "CA", 4, altloc="B", occupancy=0.8, b_factor=77.25),
    cif_row(2, '"C5\'"', 9),
    *[cif_row(-3, atom, 5, chain="AAA", residue="MSE") for atom in BACKBONE],
    *[cif_row(1, atom, 9, model=2) for atom in BACKBONE],
]


@pytest.mark.parametrize("rows", [ROWS, None], ids=["odd", "plain"])
def test_read_as_the_mmcif_file_is(tmp_path, rows):
    text = cif_text(range(1, 300)) if rows is None else CIF_HEAD + "".join(rows) + "#\n"
    (tmp_path / "x.cif").write_text(text)
    (tmp_path / "x.bcif.gz").write_bytes(gzip.compress(bcif(text)))
    (tmp_path / "nameless").write_bytes(bcif(text))
    expected = atoms(tmp_path / "x.cif")
    assert atoms(tmp_path / "x.bcif.gz") == atoms(tmp_path / "nameless") == expected
    assert expected[:2] == ["9ABC", "A small mmCIF"]
    assert [chain for chain, _ in expected[2]] == (["Z"] if rows is None else ["W", "Z", "AAA"])


def test_an_atom_without_a_number_damages_its_chain_as_in_mmcif(tmp_path):
    text = cif_text([1, 2, 3]).replace(" 9.00 2 Z", " 9.00 ? Z", 1)
    (tmp_path / "x.bcif").write_bytes(bcif(text))
    [chain] = parse(tmp_path / "x.bcif").chains
    with pytest.raises(Exception, match="an atom without a residue number"):
        read_chain(chain, Limits())


def test_found_in_folders_and_encoded_by_the_command(tmp_path, monkeypatch):
    class Counting:
        config = type("Config", (), {"max_length": 100})

        def encode_batch(self, chains):
            return [np.arange(len(sequence), dtype=np.int32) for _, sequence in chains]

    monkeypatch.setattr(commands, "_load", lambda weights: Counting())
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.bcif.gz").write_bytes(gzip.compress(bcif(cif_text([1, 2, 3]))))
    (folder / "b.pdb").write_text(pdb_text([1, 2]))
    (folder / "c.bcif").write_bytes(bcif(cif_text([1]))[:-300])
    assert [path.name for path in structure_files(folder)] == ["a.bcif.gz", "b.pdb", "c.bcif"]
    summary = commands.encode([str(folder)], tmp_path / "out.jsonl", stream=io.StringIO())
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(line["name"], line.get("sequence")) for line in found] == [
        ("a", "GGG"),
        ("b", "AA"),
        ("c", None),
    ]
    assert "no BinaryCIF, or damaged" in found[2]["error"]
    assert (summary.chains, summary.failed) == (2, 1)


def changed(change) -> bytes:
    """A file with `change` made to the columns of its atoms."""
    file = tables(cif_text([1, 2, 3]))
    table = next(c for c in file["dataBlocks"][0]["categories"] if c["name"] == "_atom_site")
    change(table, {column["name"]: column for column in table["columns"]})
    return msgpack.packb(file)


def without_numbers(table, columns):
    del table["columns"][table["columns"].index(columns["Cartn_x"])]


def with_more_rows(table, columns):
    table["rowCount"] += 1


def with_endless_runs(table, columns):
    runs, encoding = bcif_files.byte_array([1, 2**31 - 1])
    endless = {"kind": "RunLength", "srcType": 3, "srcSize": 2**31 - 1}
    columns["pdbx_PDB_model_num"]["data"] = bcif_files.data((runs, [endless, *encoding]))


def with_an_unknown_encoding(table, columns):
    columns["Cartn_x"]["data"]["encoding"][0]["kind"] = "Wavelet"


def with_a_short_mask(table, columns):
    columns["Cartn_x"]["mask"] = bcif_files.data(bcif_files.run_length([0, 1]))


def with_far_offsets(table, columns):
    encoding = columns["label_comp_id"]["data"]["encoding"][0]
    encoding["stringData"] = ""


def without_rows(table, columns):
    table["rowCount"] = 0
    table["columns"] = [bcif_files.column(name, []) for name in columns]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (bcif(cif_text([1]))[:-1], "no BinaryCIF, or damaged"),
        (bcif(cif_text([1])) + b"x", "no BinaryCIF, or damaged"),
        (b"\x81", "no BinaryCIF, or damaged"),
        (b"\x80", "no BinaryCIF, or damaged"),
        (msgpack.packb({"dataBlocks": 3}), "no BinaryCIF, or damaged"),
        (msgpack.packb({"dataBlocks": []}), "no tables of atoms"),
        (changed(without_numbers), "the table of atoms has no column Cartn_x"),
        (changed(with_more_rows), "has 12 values in 13 rows"),
        (changed(with_endless_runs), "runs of another length than stated"),
        (changed(with_an_unknown_encoding), "Wavelet"),
        (changed(with_a_short_mask), "the mask of Cartn_x has 2 values"),
        (changed(with_far_offsets), "offsets outside the text"),
        (changed(without_rows), "no tables of atoms"),
    ],
)
def test_damage_is_one_line(tmp_path, content, why):
    path = tmp_path / "x.bcif"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match=why) as error:
        parse(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_flipped_bytes_are_refused_or_read(tmp_path):
    """Never another error, whatever a byte becomes."""
    content = bytearray(bcif(cif_text(range(1, 6))))
    path = tmp_path / "x.bcif"
    random = np.random.default_rng(0)
    read = 0
    for place in random.integers(0, len(content), 300):
        flipped = bytearray(content)
        flipped[place] ^= 1 << random.integers(8)
        path.write_bytes(flipped)
        try:
            parse(path)
            read += 1
        except UnreadableFile:
            pass
    assert 0 < read < 300


def test_columns_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(bcif_reader, "MAX_VALUES", 10)
    (tmp_path / "x.bcif").write_bytes(bcif(cif_text([1, 2, 3])))
    with pytest.raises(UnreadableFile, match=r"more than 10 values|runs of another length"):
        parse(tmp_path / "x.bcif")
