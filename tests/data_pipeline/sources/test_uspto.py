"""US patents in all the forms that their weekly files have had, and what is wrong with some."""

import gzip
import zipfile

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline import sources
from data_pipeline.sources import uspto
from data_pipeline.sources.tally import Tally


def ice(number="07997973", kind="B2", what="grant", description=None, title="An <i>E. coli</i>"):
    description = (
        description
        or """
<?BRFSUM description="Brief Summary" end="lead"?>
<heading id="h-0001" level="1">BACKGROUND</heading>
<p id="p-0002" num="0001">Cells at 10<sup>-5</sup> M of CaCl<sub>2</sub> (<figref>FIG. 1</figref>).
 <ul><li>one<br/>line</li><li>two</li></ul> and on.</p>
<p id="p-0003" num="0002"><tables><table><tgroup><tbody><row><entry>9</entry></row></tbody></tgroup>
 </table></tables></p>
<p id="p-0004" num="0003">Formula (I) <chemistry><img file="C1.TIF"/></chemistry> and
 <maths><math><mfrac><mi>a</mi><mi>b</mi></mfrac></math><img file="M1.TIF"/></maths>.</p>"""
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE us-patent-{what} SYSTEM "us-patent-{what}-v47-2022-02-17.dtd" [ ]>
<us-patent-{what} lang="EN" dtd-version="v4.7 2022-02-17" file="x.XML" country="US">
<us-bibliographic-data-{what}>
<publication-reference><document-id><country>US</country><doc-number>{number}</doc-number>
<kind>{kind}</kind><date>20260106</date></document-id></publication-reference>
<application-reference><document-id><country>US</country><doc-number>1</doc-number></document-id>
</application-reference>
<invention-title id="d2e51">{title}</invention-title>
</us-bibliographic-data-{what}>
<abstract id="abstract"><p id="p-0001" num="0000">An abstract.</p></abstract>
<drawings id="DRAWINGS"><figure><img file="D1.TIF"/></figure></drawings>
<description id="description">{description}</description>
<us-claim-statement>What is claimed is:</us-claim-statement>
<claims id="claims"><claim id="CLM-00001" num="00001">
<claim-text>1. A method comprising:
<claim-text>growing; and</claim-text>
<claim-text>waiting.</claim-text></claim-text></claim>
<claim id="CLM-00002"><claim-text>2. That of <claim-ref idref="CLM-00001">claim 1</claim-ref>.
</claim-text></claim></claims>
</us-patent-{what}>
"""


ICE_TEXT = [
    "An abstract.",
    "BACKGROUND",
    "Cells at 10^-5 M of CaCl2 (FIG. 1).",
    "one line",
    "two",
    "and on.",
    "Formula (I) and a/b.",
    "What is claimed is:",
    "1. A method comprising: growing; and waiting.",
    "2. That of claim 1.",
]

ST32 = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE PATDOC SYSTEM "ST32-US-Grant-025xml.dtd" [
<!ENTITY US06442728-20020827-M00001.TIF SYSTEM "US06442728-20020827-M00001.TIF" NDATA TIF>
]>
<PATDOC DTD="2.5" STATUS="Build 20020918">
<SDOBI><B100><B110><DNUM><PDAT>06442728</PDAT></DNUM></B110><B130><PDAT>B1</PDAT></B130></B100>
<B500><B540><STEXT><PDAT>Of &agr;-turbo</PDAT></STEXT></B540></B500></SDOBI>
<SDOAB><BTEXT><PARA ID="P-00001" LVL="0"><PTEXT><PDAT>An abstract.</PDAT></PTEXT></PARA></BTEXT>
</SDOAB>
<SDODE><BRFSUM><BTEXT><H LVL="1"><STEXT><PDAT>FIELD</PDAT></STEXT></H>
<PARA ID="P-00002" LVL="0"><PTEXT><PDAT>N</PDAT><HIL><SB><PDAT>1</PDAT></SB></HIL>
<PDAT>&times;10</PDAT><HIL><SP><PDAT>3</PDAT></SP></HIL><PDAT> in </PDAT><FGREF ID="D"><PDAT>FIG. 1
</PDAT></FGREF><PDAT>.</PDAT></PTEXT></PARA></BTEXT></BRFSUM>
<DETDESC><BTEXT><PARA ID="P-00003" LVL="0"><PTEXT><PDAT>So </PDAT><CWU><MATH-US><MATHEMATICA/>
<MATHML><math><msup><mi>x</mi><mn>2</mn></msup></math></MATHML><EMI FILE="M"/></MATH-US></CWU>
<CWU><TABLE-US><PDAT>cell</PDAT></TABLE-US></CWU></PTEXT></PARA></BTEXT></DETDESC></SDODE>
<SDOCL><H LVL="1"><STEXT><PDAT>What is claimed is: </PDAT></STEXT></H><CL><CLM ID="CLM-00001">
<PARA ID="P-00004" LVL="0"><PTEXT><PDAT>1. A method, comprising</PDAT></PTEXT></PARA>
<CLMSTEP LVL="2"><PTEXT><PDAT>storing.</PDAT></PTEXT></CLMSTEP></CLM></CL></SDOCL>
<SDODR ID="DRAWINGS"><EMI FILE="D"/></SDODR>
</PATDOC>
"""

PAP = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE patent-application-publication SYSTEM "pap-v15-2001-01-31.dtd" []>
<patent-application-publication><subdoc-bibliographic-information>
<document-id><doc-number>20010031492</doc-number><kind-code>A1</kind-code></document-id>
<technical-information><title-of-invention>Assay reagent</title-of-invention>
</technical-information></subdoc-bibliographic-information>
<subdoc-abstract><paragraph id="A-0001" lvl="0">An abstract. </paragraph></subdoc-abstract>
<subdoc-description><section><heading lvl="1">EXAMPLE 1 </heading>
<paragraph id="P-0001" lvl="0"><number>&lsqb;0001&rsqb;</number> Zeocin&trade; at
10<highlight><superscript>-3</superscript></highlight> M. <table-cwu><table>x</table></table-cwu>
</paragraph></section></subdoc-description>
<subdoc-claims><heading lvl="1">Claims</heading>
<claim id="CLM-00001"><claim-text>1. A reagent.</claim-text></claim></subdoc-claims>
<subdoc-drawings id="DRAWINGS"><heading>Drawings</heading></subdoc-drawings>
</patent-application-publication>
"""

APS = """HHHHHT        APS1  ISSUE - 760106
PATN
WKU  039298309
SRC  5
TTL  Of .alpha.-tocopherol, a title
      in two lines
UREF
PNO  3518629
NAM  Frankel
OREF
PAL  Not read: a reference.
ABST
PAL  An abstract.
BSUM
PAC  BACKGROUND OF THE INVENTION
PAR  Cells at 10.sup.-5 M CaCl.sub.2 and Ca.sup.2+ at 37.degree. C. with .sup.13 C,
      U.S. Pat. 3,518,629 .unknown.
DETD
PA1  of formula ##STR1## where X.sub.1.sup..crclbar. is an anion.
TBL                TABLE 1
     ______________________
     No.    R.sub.1
CLMS
STM  What is claimed is:
NUM  1.
PAR  1. A reagent of
PA1  one thing.
NUM  2.
PAR  2. That of claim 1.
PATN
WKU  D02384564
TTL  A chair
DCLM
STM  I claim:
PAR  The ornamental design for a chair, as shown.
"""


def read(path, **options):
    tally = Tally()
    records = list(sources.read("uspto", str(path), uspto.Options(**options), tally))
    assert tally.balanced
    return records, tally


@pytest.mark.parametrize(
    ("what", "number", "kind"), [("grant", "07997973", "B2"), ("application", "20260000001", "A1")]
)
def test_grants_and_applications_of_today(tmp_path, what, number, kind):
    path = tmp_path / "ipx260106.xml"
    path.write_text(ice(number, kind, what))
    (record,), tally = read(path)
    assert (record.id, record.title) == (f"US{number}{kind}", "An E. coli")
    assert record.text.split("\n\n") == ICE_TEXT
    assert tally.lost == {"formula or structure that is a picture": 1}
    (record,), _ = read(path, claims=False)
    assert record.text.split("\n\n") == ICE_TEXT[:-3]


def test_grants_to_2004(tmp_path):
    (tmp_path / "pg020827.xml").write_text(ST32)
    (record,), tally = read(tmp_path)
    assert (record.id, record.title) == ("US06442728B1", "Of \u03b1-turbo")
    assert record.text.split("\n\n") == [
        "An abstract.",
        "FIELD",
        "N1 \u00d710^3 in FIG. 1 .",
        "So x^2",
        "What is claimed is:",
        "1. A method, comprising storing.",
    ]
    assert not tally.lost


def test_applications_to_2004(tmp_path):
    (tmp_path / "pa011018.xml.gz").write_bytes(gzip.compress(PAP.encode()))
    (record,), _ = read(tmp_path)
    assert (record.id, record.title) == ("US20010031492A1", "Assay reagent")
    assert record.text.split("\n\n") == [
        "An abstract.",
        "EXAMPLE 1",
        "Zeocin\u2122 at 10^-3 M.",
        "Claims",
        "1. A reagent.",
    ]


def test_text_to_2001(tmp_path):
    (tmp_path / "pftaps19760106_wk01.txt").write_text(APS)
    (first, second), tally = read(tmp_path)
    assert (first.id, first.title) == ("US03929830", "Of \u03b1-tocopherol, a title in two lines")
    assert first.text.split("\n\n") == [
        "An abstract.",
        "BACKGROUND OF THE INVENTION",
        "Cells at 10^-5 M CaCl2 and Ca2+ at 37\u00b0 C. with 13 C, U.S. Pat. 3,518,629 .unknown.",
        "of formula where X1\u2296 is an anion.",
        "What is claimed is:",
        "1. A reagent of one thing.",
        "2. That of claim 1.",
    ]
    assert (second.id, second.text) == (
        "USD0238456",
        "I claim:\n\nThe ornamental design for a chair, as shown.",
    )
    assert tally.lost == {"formula or structure that is a picture": 1}
    assert tally.first == {"formula or structure that is a picture": "pftaps19760106_wk01.txt:1"}


def weekly():
    long = f"<p>{'word ' * 2_000_000}</p>"
    return "".join(
        [
            ice("1"),
            ice("2").replace("</claims>", ""),
            '<?xml version="1.0"?>\n<!DOCTYPE sequence-cwu SYSTEM "s.dtd">\n<sequence-cwu/>\n',
            ice("3", description=long),
            '<?xml version="1.0"?>\n<html/>\n',
            ice("", "").replace("<country>US</country>", ""),
            ice("4").replace("An abstract", "\udcff"),
            ice("5"),
        ]
    ).encode(errors="surrogateescape")


@pytest.mark.parametrize("name", ["ipg260106.zip", "ipg260106.xml", "ipg260106.xml.gz"])
def test_weekly_files_go_on_after_documents_that_are_broken(tmp_path, name):
    path = tmp_path / name
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("ipg260106.xml", weekly())
            archive.writestr("readme.html", "<html/>")
    else:
        path.write_bytes(gzip.compress(weekly()) if path.suffix == ".gz" else weekly())
    records, tally = read(tmp_path)
    assert [record.id for record in records] == ["US1B2", "US3B2", "US5B2"]
    assert len(records[1].text) > 9_999_999
    assert tally.records_in == 8
    assert tally.dropped == {
        "broken XML (mismatched tag)": 1,
        "sequence listing": 1,
        "no patent": 1,
        "no number": 1,
        "broken XML (not well-formed (invalid token))": 1,
    }
    place = name if path.suffix == ".gz" else "ipg260106.xml"
    assert tally.first["sequence listing"] == f"{place}:3"
    assert [record.id for record in read(tmp_path, limit=3)[0]] == ["US1B2"]


def test_texts_that_cannot_be_read_are_counted(tmp_path):
    body = "PATN\nWKU  {}\nABST\nPAL  {}\n"
    (tmp_path / "a.txt").write_bytes(
        body.format("039298309", "Good.").encode()
        + body.format("039298317", "A \udcff sign.").encode(errors="surrogateescape")
        + b"PATN\nABST\nPAL  No number.\n"
        + b"PATN\nWKU  039298325\nTTL  No text\n"
    )
    records, tally = read(tmp_path)
    assert [record.id for record in records] == ["US03929830"]
    assert tally.dropped == {"not UTF-8": 1, "no number": 1, "no text": 1}
    assert tally.first["not UTF-8"] == "a.txt:2"


def test_damaged_archives_stop_with_one_line(tmp_path):
    path = tmp_path / "ipg260106.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ipg260106.xml", ice() * 50)
    whole = path.read_bytes()
    middle = len(whole) // 2
    for damaged in (whole[:-30], whole[:middle] + b"\0\0\0\0" + whole[middle + 4 :]):
        path.write_bytes(damaged)
        with pytest.raises(BadInput, match=r"\.zip: damaged or truncated archive") as error:
            read(path)
        assert "\n" not in str(error.value)
