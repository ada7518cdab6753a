"""XML by elements and by documents: namespaces, memory, entities, damage."""

import gzip
import io
import tracemalloc

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline.formats import xml

LAUGHS = b"".join(b'<!ENTITY x%d "%s">' % (n, b"&x%d;" % (n - 1) * 10) for n in range(1, 10))
BOMB = b'<!DOCTYPE a [<!ENTITY x0 "' + b"y" * 100 + b'">' + LAUGHS + b"]><a><e>&x9;</e></a>"


def write(path, content: bytes):
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def test_elements_in_order_without_namespaces(tmp_path):
    content = b"""<?xml version="1.0"?>
<u:root xmlns="http://a.org/a" xmlns:u="http://a.org/u"><!-- a comment -->
<entry n="1"><name>one <b>and</b> half</name></entry>
<u:other><entry n="2"/></u:other><gone n="3"/><entry n="4"><u:name>\xc3\xbc</u:name></entry>
</u:root>"""
    for name in ("a.xml", "a.xml.gz"):
        found = [
            (element.tag, element.get("n"), xml.text_of(element.find("name")))
            for element in xml.elements(write(tmp_path / name, content), "entry", "gone")
        ]
        assert found == [
            ("entry", "1", "one and half"),
            ("entry", "2", ""),
            ("gone", "3", ""),
            ("entry", "4", "ü"),
        ]


def test_memory_holds_one_element_also_beside_unwanted_ones(tmp_path):
    entry = b"<entry><name>" + b"n" * 2000 + b"</name></entry>"
    unwanted = b"<note>" + b"m" * 2000 + b"<deep>d</deep></note>"
    path = write(tmp_path / "a.xml.gz", b"<root>" + (entry + unwanted) * 1000 + b"</root>")
    tracemalloc.start()
    count = sum(len(element.findtext("name")) == 2000 for element in xml.elements(path, "entry"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 1000
    assert peak < 2**20  # of 4 MB


def test_an_element_of_10_megabytes(tmp_path):
    path = write(tmp_path / "a.xml", b"<root><entry>" + b"ab " * 3_500_000 + b"</entry></root>")
    (found,) = (len(element.text) for element in xml.elements(path, "entry"))
    assert found == 10_500_000


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"<root>\n<e>1</e>\n<e>2</x></root>", "line 3, column 6 .mismatched tag"),
        (b"<root>\n<e>1</e>\n<e>", "line 3, column 3 .no element found"),
        (b"<root>\n<e>1</e>\n<e>\xff</e></root>", "line 3, column 3 .not well-formed"),
        (b"", "no element found"),
        (BOMB, "limit on input amplification"),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///x">]><a><e>&x;</e></a>', "undefined entity"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "encoding"),
        (b'<?xml version="1.0" encoding="shift_jis"?><a/>', "encoding"),
        (b"<a>" * 300 + b"</a>" * 300, "nested deeper than 200"),
    ],
)
def test_broken_files_are_one_line(tmp_path, content, problem):
    path = write(tmp_path / "a.xml", content)
    with pytest.raises(BadInput, match=rf"^[^:]*a\.xml: [^:]*{problem}") as error:
        list(xml.elements(path, "e"))
    assert "\n" not in str(error.value)


def test_what_stands_before_the_damage_was_given(tmp_path):
    path = write(tmp_path / "a.xml.gz", b"<root>" + b"<e>1</e>" * 10_000 + b"</x>")
    found = 0
    with pytest.raises(BadInput, match="mismatched tag"):
        for _ in xml.elements(path, "e"):
            found += 1
    assert found > 5000


def test_documents_are_cut_where_one_begins():
    one = b'<?xml version="1.0" encoding="UTF-8"?>\n<a>1\n</a>\n'
    two = b'<?xml version="1.0"?>\r\n<b>say &lt;?xml </b>\r\n'
    assert list(xml.documents(io.BytesIO(b"\n" + one + two + one[:-1]))) == [
        b"\n" + one,
        two,
        one[:-1],
    ]
    assert list(xml.documents(io.BytesIO(b"<a/>\n" + two))) == [b"<a/>\n", two]
    assert list(xml.documents(io.BytesIO(b" \n\n"))) == []


def test_documents_are_parsed_without_namespaces_and_with_named_characters():
    root = xml.parse(
        b'<?xml version="1.0"?><!DOCTYPE a SYSTEM "not-there.dtd" [<!ENTITY PIC SYSTEM "p.tif" '
        b'NDATA TIF>]>\n<a xmlns:m="http://m.org"><m:p>&agr;&minus;&OHgr;&sfgr;&thgr;&lsqb;1&EEgr;'
        b"</m:p></a>"
    )
    assert [element.tag for element in root.iter()] == ["a", "p"]
    assert root.findtext("p") == "\u03b1\u2212\u03a9\u03c2\u03b8[1\u0397"


@pytest.mark.parametrize(
    "before", [b"", b"\n ", b"\xef\xbb\xbf", b'<?xml version="1.0"?>', b'\n<?xml version="1.0"?>\n']
)
def test_names_of_characters_need_no_declaration(before):
    assert xml.parse(before + b"<a>1&ndash;2</a>").text == "1\u20132"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<a><b></a>", "broken XML (mismatched tag)"),
        (b"<a>\xff</a>", "broken XML (not well-formed (invalid token))"),
        (b'<!DOCTYPE a SYSTEM "x.dtd"><a>&nonsense;</a>', "broken XML (undefined entity)"),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "f">]><a>&x;</a>', "broken XML (undefined entity)"),
        (b"<a>" * 300 + b"</a>" * 300, "XML nested deeper than 200 elements"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "XML in an unknown encoding"),
    ],
)
def test_a_document_that_is_broken_says_why_without_the_place(content, reason):
    with pytest.raises(BadInput) as error:
        xml.parse(content)
    assert str(error.value) == reason
