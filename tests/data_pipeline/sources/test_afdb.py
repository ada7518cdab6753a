"""AlphaFold DB: models of archives and folders, in one format of two, and how sure they are."""

import gzip
import io
import tarfile

import numpy as np
import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.sources import afdb
from data_pipeline.sources.tally import Tally
from tests.structure.protein.structures import CIF_HEAD, cif_row, residue_lines

TITLE = "AlphaFold monomer v2.0 prediction for Titin (fragment) (Q8WZ42)"


def cif_model(name: str, plddt: list[float]) -> str:
    """A model as the database writes one; glycines."""
    head = CIF_HEAD.replace("9ABC", name).replace("'A small mmCIF'", f"'{TITLE}'")
    rows = [
        cif_row(n, atom, 3.8 * n + k / 10, chain="A", b_factor=b)
        for n, b in enumerate(plddt, start=1)
        for k, atom in enumerate(("N", "CA", "C", "O"))
    ]
    return head + "".join(rows) + "#\n"


def pdb_model(plddt: list[float]) -> str:
    """Its file has a title and no id; alanines."""
    head = (
        "HEADER                                            01-JUN-22                     \n"
        "TITLE     ALPHAFOLD MONOMER V2.0 PREDICTION FOR PRE- AND POST-KINASE DOMAIN-    \n"
        "TITLE    2 CONTAINING PROTEIN (A0A3P7E792)                                      \n"
    )
    rows = "".join(residue_lines(n, 3.8 * n, b_factor=b) for n, b in enumerate(plddt, start=1))
    return head + rows + "TER\nEND\n"


def archive(path, files: dict[str, bytes]) -> str:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return str(path)


def packed(text: str) -> bytes:
    return gzip.compress(text.encode())


@pytest.fixture
def proteome(tmp_path):
    """Each model in both formats, the second protein in fragments, and what is no model."""
    return archive(
        tmp_path / "UP000005640_9606_HUMAN_v4.tar",
        {
            "AF-P12345-F1-model_v4.cif.gz": packed(cif_model("AF-P12345-F1", [90.5, 80, 70.25])),
            "AF-P12345-F1-model_v4.pdb.gz": packed(pdb_model([90.5, 80, 70.25, 20])),
            "AF-P12345-F1-predicted_aligned_error_v4.json.gz": packed("[]"),
            "AF-Q8WZ42-F2-model_v4.cif.gz": packed(cif_model("AF-Q8WZ42-F2", [40, 50])),
            "AF-Q8WZ42-F2-model_v4.pdb.gz": packed(pdb_model([40, 50])),
        },
    )


def read(path, **options) -> tuple[list, Tally]:
    options, tally = afdb.Options(**options), Tally()
    records = list(sources.read("afdb", str(path), options, tally))
    assert tally.balanced
    return records, tally


def test_models_of_an_archive_in_the_one_format(proteome):
    (first, second), tally = read(proteome)
    assert (first.id, first.chain, first.title) == ("AF-P12345-F1_A", "A", "Titin (fragment)")
    assert first.sequence == "GGG"
    np.testing.assert_array_equal(first.confidence, np.float32([90.5, 80, 70.25]))
    np.testing.assert_array_equal(first.backbone[1, :, 0], np.float32([7.6, 7.7, 7.8, 7.9]))
    assert (second.id, second.confidence.dtype) == ("AF-Q8WZ42-F2_A", np.float32)
    assert tally.records_in == 2


def test_models_of_an_archive_in_the_other_format(proteome):
    (first, second), _ = read(proteome, format="pdb")
    assert (first.id, first.title) == (
        "AF-P12345-F1_A",
        "PRE- AND POST-KINASE DOMAIN-CONTAINING PROTEIN",
    )
    assert first.sequence == "AAAA"
    np.testing.assert_array_equal(first.confidence, np.float32([90.5, 80, 70.25, 20]))
    assert second.id == "AF-Q8WZ42-F2_A"


def test_models_and_archives_in_a_folder_one_after_the_other(tmp_path, proteome):
    (tmp_path / "AF-A0A001-F1-model_v6.cif").write_text(cif_model("AF-A0A001-F1", [99]))
    (tmp_path / "AF-A0A001-F1-model_v6.pdb").write_text(pdb_model([99]))
    records, _ = read(tmp_path)
    assert [r.id for r in records] == ["AF-A0A001-F1_A", "AF-P12345-F1_A", "AF-Q8WZ42-F2_A"]
    records, tally = read(tmp_path, limit=2)
    assert ([r.id for r in records], tally.records_in) == (["AF-A0A001-F1_A", "AF-P12345-F1_A"], 2)


def test_models_of_little_confidence_are_left_out_if_one_says_so(proteome):
    records, tally = read(proteome, min_plddt=80)
    assert [r.id for r in records] == ["AF-P12345-F1_A"]  # mean of 80.25
    assert tally.dropped == {"mean pLDDT below 80": 1}
    with pytest.raises(BadInput, match="no usable record"):
        read(proteome, min_plddt=80.5)


def test_unusable_models_are_counted(tmp_path):
    name = "AF-{}-F1-model_v4.cif.gz".format
    whole = packed(cif_model("AF-A-F1", [50] * 40))
    path = archive(
        tmp_path / "a.tar",
        {
            name("A"): whole,
            name("B"): whole[:-20],
            name("C"): packed(cif_model("AF-C-F1", [0.9, 0.8])),
            name("D"): packed(cif_model("AF-D-F1", [50, 101])),
            name("E"): packed(cif_model("AF-E-F1", [50]).replace(" 50.00 ", " ? ")),
            name("F"): packed(cif_model("AF-F-F1", [50] * 30)),
            name("G"): b"",
        },
    )
    records, tally = read(path, max_residues=40)
    assert [r.id for r in records] == ["AF-A-F1_A", "AF-F-F1_A"]
    assert tally.records_in == 7
    assert tally.dropped["B-factors that are no pLDDT (0 to 100)"] == 3
    assert tally.dropped["empty file"] == 1
    [damaged] = [reason for reason in tally.dropped if reason.startswith("damaged")]
    assert tally.first[damaged] == name("B")
    with pytest.raises(BadInput, match="longer than 20 residues"):
        read(path, max_residues=20)


def test_archives_cut_short_or_without_such_models_are_one_line(tmp_path, proteome):
    with open(proteome, "rb") as file:
        content = file.read()
    (tmp_path / "cut.tar").write_bytes(content[:2000])
    with pytest.raises(BadInput, match=r"cut\.tar: damaged or truncated"):
        read(tmp_path / "cut.tar")
    path = archive(tmp_path / "swissprot_pdb_v4.tar", {"AF-A-F1-model_v4.pdb.gz": b""})
    with pytest.raises(BadInput, match=r"no model that ends in \.cif or \.cif\.gz: set format"):
        read(path)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"min_plddt": -1}, "min_plddt must be from 0 to 100"), ({"min_plddt": 101}, "min_plddt")],
)
def test_options_out_of_range_are_refused(wrong, message):
    with pytest.raises(BadInput, match=message):
        afdb.Options(**wrong)
