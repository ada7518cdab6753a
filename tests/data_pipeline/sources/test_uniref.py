"""UniRef in FASTA: headers as UniProt writes them, sequences as they stand or counted."""

import gzip

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.sources.tally import Tally

UNIREF = """\
>UniRef50_Q8WZ42 Titin n=2871 Tax=Vertebrata TaxID=7742 RepID=TITIN_HUMAN
MTTQAPTFTQPLQSVVVLEGSTATFEAHISGFPVPEVSWFRDGQVISTSTLPGVQISFSD
GRAKLTIPAVTKANSGR
>UniRef50_UPI0002E0DBB5 Sum n=2 bridge, a = b (Fragment) n=12 Tax=Candidatus X sp. TaxID=9 RepID=UPI0002E0DBB5
MUXBZOJ
>UniRef50_A0A009 of another kind
MK
"""  # noqa: E501


def read(path, content: bytes, **options):
    path.write_bytes(content)
    tally = Tally()
    records = list(sources.read("uniref", str(path), None, tally))
    assert tally.balanced
    return records, tally


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_name_and_taxon_come_from_the_header(tmp_path, ends):
    content = UNIREF.replace("\n", ends).encode()
    records, tally = read(tmp_path / "uniref50.fasta.gz", gzip.compress(content))
    assert [(r.id, r.title, dict(r.texts)) for r in records] == [
        ("UniRef50_Q8WZ42", "Titin", {"Common taxon": "Vertebrata"}),
        (
            "UniRef50_UPI0002E0DBB5",
            "Sum n=2 bridge, a = b (Fragment)",
            {"Common taxon": "Candidatus X sp."},
        ),
        ("UniRef50_A0A009", "", {}),
    ]
    assert records[0].sequence == (
        "MTTQAPTFTQPLQSVVVLEGSTATFEAHISGFPVPEVSWFRDGQVISTSTLPGVQISFSDGRAKLTIPAVTKANSGR"
    )
    assert records[1].sequence == "MUXBZOJ"
    assert (records[0].chain, records[0].backbone, records[0].confidence) == ("", None, None)
    assert tally.lost == {"header: not as UniRef writes it": 1}
    assert tally.first["header: not as UniRef writes it"] == "UniRef50_A0A009"


def test_headers_of_older_releases_have_no_taxonomy_id(tmp_path):
    records, _ = read(tmp_path / "a.fa", b">UniRef50_A Alpha n=3 Tax=Root RepID=A_HUMAN\nMK\n")
    assert (records[0].title, records[0].texts) == ("Alpha", {"Common taxon": "Root"})


def test_unusable_entries_are_counted_by_what_is_wrong_with_them(tmp_path):
    entries = [
        b"MKV\n>good n=1 Tax=x TaxID=1\nMKV",  # begins in the middle of an entry
        b">lower\nMKvL",
        b">gap\nMK-VL",
        b">dots\nMK..",
        b">stop\nMKV*",
        b">blank\nMK VL",
        b">digits\n12 MKV",
        b">nothing",
        b">after nothing\n",
        b">bytes \xff\nMK",
        b">\nMKV",
    ]
    records, tally = read(tmp_path / "a.fasta", b"\n".join(entries) + b"\n")
    assert [record.id for record in records] == ["good", "a.fasta, entry 12"]
    assert tally.records_in == 12
    assert tally.dropped == {
        "no FASTA header": 1,
        "sequence with lower-case letters": 1,
        "sequence with gaps": 2,
        "sequence with a stop (*)": 1,
        "sequence with other characters than A to Z": 2,
        "no sequence": 2,
        "not UTF-8": 1,
    }
    assert tally.first["sequence with gaps"] == "gap"
    assert tally.first["not UTF-8"] == "a.fasta, entry 11"


def test_a_long_record_is_one_and_its_neighbours_are_too(tmp_path):
    long = b"MKVLA" * 2_000_000
    content = b">a\nMK\n>long\n" + b"\n".join([long[i : i + 60] for i in range(0, 10**7, 60)])
    records, _ = read(tmp_path / "a.fasta", content + b"\n>b\nMV\n")
    assert [record.id for record in records] == ["a", "long", "b"]
    assert [record.sequence for record in records] == ["MK", long.decode(), "MV"]


def test_files_without_entries_or_cut_short_are_one_line(tmp_path):
    with pytest.raises(BadInput, match=r"empty\.fasta: no usable record \(0 in; 0 out\)"):
        read(tmp_path / "empty.fasta", b"\n\n")
    packed = gzip.compress(UNIREF.encode() * 1000)
    with pytest.raises(BadInput, match=r"cut\.fasta\.gz: damaged or truncated gzip") as error:
        read(tmp_path / "cut.fasta.gz", packed[: len(packed) // 2])
    assert "\n" not in str(error.value)
