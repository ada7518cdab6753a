from pathlib import Path

import pytest
from rdkit import Chem, RDConfig, rdBase

from biomatrix_jax.errors import BadInput
from data_pipeline.formats import sdf
from data_pipeline.formats.sdf import SdfEntry, sdf_entries

MOLFILE = "241\n  -OEChem-02222113093D\n\n  0  0  0     0  0  0  0  0  0999 V2000\nM  END\n"
TAGGED = (
    MOLFILE
    + "> <PUBCHEM_COMPOUND_CID>\n241\n\n"
    + "> <PUBCHEM_COORDINATE_TYPE>\n2\n5\n10\n\n"
    + ">  <with number>  (1) \n > 5, <i>not</i> 6\n\n"
    + ">  <empty>\n\n"
    + "> 25 <last>\nno blank line behind\n"
)


def test_an_entry_is_its_molfile_and_its_fields(tmp_path):
    path = tmp_path / "some.sdf"
    path.write_text(TAGGED + "$$$$\n" + MOLFILE.replace("241", "") + "$$$$ \n\n")
    [(first, entry), (second, bare)] = sdf_entries(path)
    assert (first, second) == ("241", "some:2")
    assert entry.molfile == MOLFILE
    assert entry.fields == {
        "PUBCHEM_COMPOUND_CID": "241",
        "PUBCHEM_COORDINATE_TYPE": "2\n5\n10",
        "with number": " > 5, <i>not</i> 6",
        "empty": "",
        "last": "no blank line behind",
    }
    assert bare == SdfEntry(MOLFILE.replace("241", ""), {})


def test_fields_are_those_that_rdkit_reads():
    path = Path(RDConfig.RDDataDir) / "NCI/first_200.props.sdf"
    with rdBase.BlockLogs():
        mols = list(Chem.SDMolSupplier(str(path)))
    expected = [mol and {name: mol.GetProp(name) for name in mol.GetPropNames()} for mol in mols]
    found = [entry.fields for _, entry in sdf_entries(path)]
    assert len(found) == len(expected) == 200
    assert all(ours == theirs for ours, theirs in zip(found, expected, strict=True) if theirs)
    assert sum(map(len, found)) > 1000


def test_windows_ends_of_lines_make_no_difference(tmp_path):
    (tmp_path / "unix.sdf").write_text(TAGGED + "$$$$\n", newline="\n")
    (tmp_path / "windows.sdf").write_text(TAGGED + "$$$$\n", newline="\r\n")
    assert list(sdf_entries(tmp_path / "unix.sdf")) == list(sdf_entries(tmp_path / "windows.sdf"))


def test_bad_entries_are_told_one_by_one(tmp_path):
    path = tmp_path / "bad.sdf.gz"
    latin = TAGGED.replace("1,", "").replace("241", "Ångström", 1).encode("latin-1")
    path.write_bytes(b"$$$$\n" + latin + b"$$$$\n" + TAGGED.encode() + b"$$$$\n" + MOLFILE.encode())
    with pytest.raises(BadInput, match="damaged or truncated gzip"):
        list(sdf_entries(path))
    path = path.rename(tmp_path / "bad.sdf")
    found = list(sdf_entries(path))
    assert [where for where, _ in found] == ["bad:1", "\ufffdngstr\ufffdm", "241", "241"]
    assert found[0][1] == SdfEntry("\n", {})
    assert str(found[1][1]) == "not UTF-8"
    assert found[2][1].fields["last"] == "no blank line behind"
    assert str(found[3][1]) == "entry is cut off ($$$$ is missing)"


def test_an_entry_of_ten_megabytes(tmp_path):
    path = tmp_path / "large.sdf"
    path.write_text(
        MOLFILE + "> <note>\n" + "long line\n" * 1_000_000 + "\n$$$$\n" + TAGGED + "$$$$\n"
    )
    (_, large), (_, after) = sdf_entries(path)
    assert large.fields["note"].count("\n") == 999_999
    assert after.fields["PUBCHEM_COMPOUND_CID"] == "241"


@pytest.mark.parametrize("note", ["one line " * 200, "many\nlines\n" * 200])
def test_an_entry_without_an_end_is_not_kept_in_memory(tmp_path, monkeypatch, note):
    monkeypatch.setattr(sdf, "LARGEST", 1000)
    path = tmp_path / "endless.sdf"
    path.write_text(MOLFILE + "> <note>\n" + note + "\n\n$$$$\n" + TAGGED + "$$$$\n")
    (first, large), (_, after) = sdf_entries(path)
    assert (first, str(large)) == ("241", "entry of more than 64 MiB")
    assert after.fields["PUBCHEM_COMPOUND_CID"] == "241"
    assert all(sum(map(len, lines)) <= 1000 for lines, _ in sdf._split(path))
