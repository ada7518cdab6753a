"""PubMed: citations of every kind, in the form of the NLM's baseline and update files."""

import gzip

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.records import TextRecord
from data_pipeline.sources import pubmed
from data_pipeline.sources.tally import Tally

HEAD = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE PubmedArticleSet PUBLIC "-//NLM//DTD PubMedArticle, 1st January 2025//EN"
 "https://dtd.nlm.nih.gov/ncbi/pubmed/out/pubmed_250101.dtd">
<PubmedArticleSet>
"""


def citation(pmid, title, abstract="", other="", version=1, language="eng"):
    return f"""<PubmedArticle>
  <MedlineCitation Status="MEDLINE" Owner="NLM">
    <PMID Version="{version}">{pmid}</PMID>
    <Article PubModel="Print">
      <Journal><Title>A journal</Title></Journal>
      <ArticleTitle>{title}</ArticleTitle>
      {abstract and f"<Abstract>{abstract}</Abstract>"}
      <AuthorList><Author><LastName>Doe</LastName></Author></AuthorList>
      <Language>{language}</Language>
      <VernacularTitle>Ein Titel.</VernacularTitle>
    </Article>
    <CommentsCorrectionsList><CommentsCorrections RefType="Cites">
      <PMID Version="1">99</PMID></CommentsCorrections></CommentsCorrectionsList>
    {other}
  </MedlineCitation>
  <PubmedData><ArticleIdList><ArticleId IdType="pubmed">{pmid}</ArticleId></ArticleIdList>
  <ReferenceList><Reference><Citation>Not read.</Citation></Reference></ReferenceList></PubmedData>
</PubmedArticle>
"""


def read(tmp_path, body, **options):
    path = tmp_path / "pubmed26n0001.xml.gz"
    path.write_bytes(gzip.compress(f"{HEAD}{body}</PubmedArticleSet>\n".encode()))
    tally = Tally()
    records = list(sources.read("pubmed", str(path), pubmed.Options(**options), tally))
    assert tally.balanced
    return records, tally


STRUCTURED = """
 <AbstractText Label="BACKGROUND" NlmCategory="BACKGROUND">A fast-acting \u03b2
   <sub>2</sub>-agonist at 10<sup>-5</sup> M.</AbstractText>
 <AbstractText Label="UNLABELLED">No label.</AbstractText>
 <AbstractText Label="Results:" NlmCategory="RESULTS"><i>P</i> &lt; 0.05 with
   <mml:math xmlns:mml="http://www.w3.org/1998/Math/MathML"><mml:msup><mml:mi>R</mml:mi>
   <mml:mn>2</mml:mn></mml:msup></mml:math>.</AbstractText>
 <AbstractText Label="FUNDING"/>
 <CopyrightInformation>Copyright 2026 somebody.</CopyrightInformation>"""


def test_structured_abstracts_have_a_paragraph_for_each_part(tmp_path):
    (record,), tally = read(tmp_path, citation(1, "Of H<sub>2</sub>O.", STRUCTURED))
    assert record == TextRecord(
        "1",
        "Of H2O.",
        "BACKGROUND: A fast-acting \u03b2 2-agonist at 10^-5 M.\n\n"
        "No label.\n\n"
        "Results: P < 0.05 with R^2.",
    )
    assert (tally.records_in, tally.records_out) == (1, 1)
    assert not tally.lost


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("A plain title.", "A plain title."),
        ("[Treatment of [complicated] things].", "Treatment of [complicated] things."),
        ("[Is it?].", "Is it?"),
        ("[<sup>18</sup>F]FDG and [11C]choline", "[18F]FDG and [11C]choline"),
        ("[Not Available].", ""),
        ("[In Process Citation]", ""),
        ("", ""),
    ],
)
def test_titles(tmp_path, title, expected):
    (record,), _ = read(tmp_path, citation(1, title, "<AbstractText>A.</AbstractText>"))
    assert record.title == expected


def test_languages_are_chosen_by_the_abstract_and_not_by_the_article(tmp_path):
    english = "<AbstractText>English.</AbstractText>"
    spanish = '<OtherAbstract Type="Publisher" Language="spa"><AbstractText Label="FIN">Sí.\
</AbstractText></OtherAbstract>'
    plain = '<OtherAbstract Type="plain-language-summary" Language="eng">\
<AbstractText>Plainly.</AbstractText></OtherAbstract>'
    body = (
        citation(1, "One", english, plain + spanish, language="ger")
        + citation(2, "Two", "", spanish, language="spa")
        + citation(3, "Three", "", plain)
    )
    records, tally = read(tmp_path, body)
    assert [(r.id, r.text) for r in records] == [("1", "English.\n\nPlainly."), ("3", "Plainly.")]
    assert tally.dropped == {"no abstract in the languages asked for": 1}
    assert tally.first == {"no abstract in the languages asked for": "2"}
    records, _ = read(tmp_path, body, languages=("eng", "spa"))
    assert [(r.id, r.text) for r in records] == [
        ("1", "English.\n\nPlainly.\n\nFIN: Sí."),
        ("2", "FIN: Sí."),
        ("3", "Plainly."),
    ]
    records, _ = read(tmp_path, body, languages=("spa",))
    assert [r.text for r in records] == ["FIN: Sí.", "FIN: Sí."]


def test_versions_books_deletions_and_a_citation_without_an_id(tmp_path):
    text = "<AbstractText>A.</AbstractText>"
    book = f"""<PubmedBookArticle><BookDocument><PMID Version="1">7</PMID>
      <Book><BookTitle>GeneReviews</BookTitle></Book><ArticleTitle>A chapter</ArticleTitle>
      <Abstract>{text}</Abstract></BookDocument></PubmedBookArticle>"""
    records, tally = read(
        tmp_path,
        citation(1, "One", text)
        + citation(1, "One again", text, version=2)
        + book
        + citation("", "No id", text)
        + "<DeleteCitation>\n<PMID Version='1'>5</PMID>\n<PMID Version='1'>6</PMID>"
        "</DeleteCitation>",
    )
    assert [(r.id, r.title) for r in records] == [
        ("1", "One"),
        ("1.2", "One again"),
        ("7", "A chapter"),
    ]
    assert tally.records_in == 6
    assert tally.dropped == {"deletion of an earlier citation": 2, "no PMID": 1}
    assert tally.first["deletion of an earlier citation"] == "5"


def test_the_list_of_deleted_citations_is_kept_to(tmp_path):
    (tmp_path / "deleted.pmids.gz").write_bytes(gzip.compress(b"2\n3\n30\n"))
    body = "".join(citation(n, "T", "<AbstractText>A.</AbstractText>") for n in range(1, 5))
    records, tally = read(tmp_path, body, deleted=str(tmp_path / "deleted.pmids.gz"))
    assert [record.id for record in records] == ["1", "4"]
    assert tally.dropped == {"deleted by the NLM": 2}
    with pytest.raises(BadInput, match=r"absent\.gz: No such file"):
        read(tmp_path, body, deleted=str(tmp_path / "absent.gz"))


def test_a_formula_that_is_a_picture_is_counted(tmp_path):
    (record,), tally = read(
        tmp_path, citation(1, "T", "<AbstractText>Of <math/> it.</AbstractText>")
    )
    assert record.text == "Of it."
    assert tally.lost == {"formula that is a picture": 1}


def test_an_abstract_of_10_megabytes_and_a_limit(tmp_path):
    body = citation(1, "T", f"<AbstractText>{'word ' * 2_000_000}</AbstractText>") * 2
    (record,), tally = read(tmp_path, body, limit=1)
    assert len(record.text) == 9_999_999
    assert tally.records_in == 1


def test_damage_stops_with_one_line(tmp_path):
    path = tmp_path / "pubmed26n0002.xml.gz"
    body = (HEAD + citation(1, "T", "<AbstractText>A.</AbstractText>") * 50).encode()
    cut = gzip.compress(body)
    for content, problem in (
        (cut, "broken XML at line .*no element found"),
        (cut[:-10], "damaged or truncated gzip"),
        (gzip.compress(body + b"<PubmedArticle>\xff"), "broken XML .*not well-formed"),
    ):
        path.write_bytes(content)
        tally = Tally()
        with pytest.raises(BadInput, match=rf"n0002\.xml\.gz: {problem}") as error:
            list(sources.read("pubmed", str(path), None, tally))
        assert "\n" not in str(error.value)
        assert tally.balanced


def test_options():
    with pytest.raises(BadInput, match="'english' is no code of three letters"):
        pubmed.Options(languages=("english",))
