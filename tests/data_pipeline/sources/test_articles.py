"""Articles in JATS from PubMed Central and bioRxiv: text, packages, identifiers, damage."""

import gzip
import io
import json
import tarfile
import zipfile

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.records import TextRecord
from data_pipeline.sources import biorxiv, pmc
from data_pipeline.sources.tally import Tally

DOCTYPE = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE article PUBLIC "-//NLM//DTD JATS (Z39.96) Journal Archiving and Interchange DTD v1.3//EN"
 "JATS-archivearticle1-3.dtd">
"""
BODY = """<body>
 <sec id="s1"><label>1</label><title>Introduction to <italic>E. coli</italic></title>
  <p>It grows<sup><xref ref-type="bibr" rid="r1">1</xref>,<xref ref-type="bibr">2</xref></sup>
   at 10<sup>-3</sup> s<sup>-1</sup> [<xref ref-type="bibr">3</xref>].</p>
  <sec><title>Deeper</title>
   <p>Two things:
    <list list-type="order"><list-item><label>(i)</label><p>one,</p></list-item>
     <list-item><p>and</p><p>two.</p></list-item></list>
    Then <inline-formula><alternatives><inline-graphic/><tex-math>
     \\documentclass[12pt]{minimal} \\begin{document}$$a^2$$\\end{document}</tex-math>
     </alternatives></inline-formula> follows<fn><p>A note.</p></fn>.</p>
   <disp-formula id="E1"><label>(1)</label><mml:math><mml:mi>y</mml:mi></mml:math></disp-formula>
   <p>So <inline-formula><inline-graphic xlink:href="f.gif"/></inline-formula> it is.</p>
   <fig id="F1"><object-id>10.1/x</object-id><label>Figure 1</label><caption><title>A plot.</title>
    <p>It shows <bold>much</bold>.</p></caption><graphic xlink:href="f1"/>
    <permissions><license><license-p>CC</license-p></license></permissions></fig>
   <table-wrap id="T1"><label>Table 1</label><caption><p>Numbers.</p></caption>
    <alternatives><graphic/><table><tbody><tr><td>3.14</td></tr></tbody></table></alternatives>
    <table-wrap-foot><fn><p>not given</p></fn></table-wrap-foot></table-wrap>
  </sec>
 </sec>
 <sec sec-type="supplementary-material"><title>Supporting information</title>
  <supplementary-material><label>S1</label><caption><p>Click here.</p></caption>
  </supplementary-material></sec>
</body>"""
TEXT = """An abstract.

1 Introduction to E. coli

It grows at 10^-3 s^-1 [3].

Deeper

Two things:

(i) one,

and two.

Then $$a^2$$ follows.

y (1)

So it is.

Figure 1 A plot. It shows much.

Table 1 Numbers.

Table 2 At the end."""


def article(ids, body=BODY, title="Of <italic>E. coli</italic>", more=""):
    given = "".join(f'<article-id pub-id-type="{k}">{v}</article-id>' for k, v in ids.items())
    return f"""{DOCTYPE}<article article-type="research-article"
 xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:mml="http://www.w3.org/1998/Math/MathML">
<front><journal-meta><journal-id>x</journal-id></journal-meta><article-meta>{given}{more}
 <title-group><article-title>{title}</article-title></title-group>
 <abstract><p>An abstract.</p></abstract>
 <abstract abstract-type="graphical"><p>A picture.</p></abstract>
 <trans-abstract xml:lang="es"><p>Un resumen.</p></trans-abstract>
</article-meta></front>
{body}
<back><ack><p>Thanks.</p></ack><ref-list><ref><mixed-citation>R.</mixed-citation></ref></ref-list>
</back>
<floats-group><table-wrap><label>Table 2</label><caption><p>At the end.</p></caption></table-wrap>
</floats-group>
<sub-article><front-stub/><body><p>A review.</p></body></sub-article>
</article>
""".encode()


def read(name, path, **options):
    tally = Tally()
    module = sources.reader(name)
    records = list(sources.read(name, str(path), module.Options(**options), tally))
    assert tally.balanced
    return records, tally


def test_an_article_is_abstract_body_and_captions(tmp_path):
    path = tmp_path / "x.nxml"
    path.write_bytes(article({"pmid": "1", "pmc": "176545", "doi": "10.1/a"}))
    (record,), tally = read("pmc", path)
    assert record == TextRecord("PMC176545", "Of E. coli", TEXT)
    assert tally.lost == {"formula that is a picture": 1}
    assert tally.first == {"formula that is a picture": "PMC176545"}


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ({"pmc": "PMC12"}, "PMC12"),
        ({"pmcid": "PMC12", "pmcid-ver": "PMC12.2", "pmcaid": "12"}, "PMC12"),
        ({"doi": "10.1/a", "pmid": "3"}, None),
    ],
)
def test_pmc_numbers_old_and_new(tmp_path, ids, expected):
    (tmp_path / "good.xml").write_bytes(article({"pmc": "1"}))
    (tmp_path / "x.xml.gz").write_bytes(gzip.compress(article(ids)))
    records, tally = read("pmc", tmp_path)
    assert [record.id for record in records] == ["PMC1", expected][: 1 + bool(expected)]
    assert tally.dropped == ({} if expected else {"no PMC number": 1})


def package(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def test_bulk_packages_go_on_after_articles_that_are_broken(tmp_path):
    path = tmp_path / "oa_comm_xml.PMC000xxxxxx.baseline.2025-06-26.tar.gz"
    long = f"<body><p>{'word ' * 2_000_000}</p></body>"
    package(
        path,
        {
            "PMC000xxxxxx/PMC1.xml": article({"pmc": "1"}),
            "PMC000xxxxxx/PMC2.xml": article({"pmc": "2"})[:-400],
            "PMC000xxxxxx/PMC3.xml": article({"pmc": "3"}, body=""),
            "PMC000xxxxxx/PMC4.xml": article({"pmc": "4"}, body="<body><sec/></body>"),
            "PMC000xxxxxx/PMC5.xml": article({"pmc": "5"}).replace(b"An abstract", b"\xff"),
            "PMC000xxxxxx/PMC6.jpg": b"picture",
            "PMC000xxxxxx/PMC7.nxml": article({"pmc": "7"}, body=long),
            "PMC000xxxxxx/PMC8.xml": b"<html/>",
        },
    )
    records, tally = read("pmc", path)
    assert [record.id for record in records] == ["PMC1", "PMC7"]
    assert len(records[1].text) > 9_000_000
    assert tally.records_in == 7
    assert tally.dropped == {
        "broken XML (no element found)": 1,
        "no full text": 2,
        "broken XML (not well-formed (invalid token))": 1,
        "no JATS article": 1,
    }
    assert tally.first["no full text"] == "PMC000xxxxxx/PMC3.xml"
    assert [r.id for r in read("pmc", tmp_path, limit=1)[0]] == ["PMC1"]
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(BadInput, match=r"tar\.gz: damaged or truncated"):
        read("pmc", path)


def test_a_file_of_several_articles(tmp_path):
    both = article({"pmc": "1"}) + article({"pmc": "2"})
    content = both.replace(DOCTYPE.encode(), b"").join((b"<pmc-articleset>", b"</pmc-articleset>"))
    (tmp_path / "set.xml").write_bytes(content)
    assert [record.id for record in read("pmc", tmp_path)[0]] == ["PMC1", "PMC2"]


def meca(path, content, name="content/983247.xml"):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.xml", '<?xml version="1.0"?><manifest><item type="article"/>')
        archive.writestr("directives.xml", "<directives/>")
        archive.writestr("content/983247v1_fig1.tif", b"picture")
        archive.writestr(name, content)


def test_biorxiv_packages_give_each_version_of_a_preprint(tmp_path):
    version = "<article-version>1.{}</article-version>"
    for number, more in enumerate(("", version.format(2), version.format(13))):
        meca(tmp_path / f"{number}.meca", article({"doi": "10.1101/486050"}, more=more))
    meca(tmp_path / "3.meca", article({"pmc": "1"}))
    meca(tmp_path / "4.meca", b"", name="transfer.xml")
    (tmp_path / "5.xml").write_bytes(article({"doi": "10.64898/2025.12.01.999999"}))
    records, tally = read("biorxiv", tmp_path)
    assert [record.id for record in records] == [
        "10.1101/486050",
        "10.1101/486050v2",
        "10.1101/486050v13",
        "10.64898/2025.12.01.999999",
    ]
    assert {record.text for record in records} == {TEXT}
    assert tally.dropped == {"no DOI": 1, "no article in the package": 1}
    assert tally.first["no article in the package"] == "4.meca"


def test_biorxiv_names_of_characters_need_no_declaration(tmp_path):
    content = article({"doi": "10.1101/1"}, body="<body><p>1&ndash;2 &mu;m</p></body>")
    (tmp_path / "a.xml").write_bytes(b"\n" + content.replace(DOCTYPE[39:].encode(), b""))
    (record,), _ = read("biorxiv", tmp_path)
    assert record.text.split("\n\n")[1] == "1\u20132 \u03bcm"


def test_biorxiv_lines_are_abstracts(tmp_path):
    path = tmp_path / "biorxiv_2026-01-01.jsonl"
    lines = [
        {"title": "T", "doi": "10.1101/1", "authors": "A", "abstract": "One.", "journal": ""},
        {"title": "T", "doi": "10.1101/1", "abstract": "Two.", "version": "2"},
        {"title": "T", "doi": "10.1101/2", "abstract": ""},
        {"title": "T", "abstract": "No DOI."},
        {"title": 5, "doi": "10.1101/3", "abstract": "x"},
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n{cut\n")
    records, tally = read("biorxiv", path)
    assert records == [
        TextRecord("10.1101/1", "T", "One."),
        TextRecord("10.1101/1v2", "T", "Two."),
    ]
    assert tally.dropped == {
        "no abstract": 1,
        "no DOI": 1,
        "doi, title or abstract is not a string": 1,
        "not JSON": 1,
    }


def test_a_damaged_package_stops_with_one_line(tmp_path):
    path = tmp_path / "a.meca"
    meca(path, article({"doi": "10.1101/1"}))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BadInput, match=r"a\.meca: damaged or truncated archive") as error:
        read("biorxiv", path)
    assert "\n" not in str(error.value)


def test_both_take_a_limit():
    assert pmc.Options(limit=2).limit == biorxiv.Options(limit=2).limit == 2
