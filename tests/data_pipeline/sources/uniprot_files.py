"""One made-up entry of UniProtKB in both of its formats, with what real ones have."""

SEQUENCE = "MKVLAAGIVGLCAKRSTPQWYHNDEFMKVLAAGIVGLCAKRSTPQWYHNDEFXUBZ"

FLAT = """\
ID   KIN1_HUMAN              Reviewed;          56 AA.
AC   P12345; Q99999;
AC   Q88888;
DT   01-NOV-1997, integrated into UniProtKB/Swiss-Prot.
DE   RecName: Full=Kinase; one {ECO:0000303|PubMed:31292544};
DE            Short=K1 {ECO:0000303|PubMed:31292544, ECO:0000303|PubMed:32492408};
DE            EC=2.7.11.1 {ECO:0000269|PubMed:31292544};
DE   AltName: Full=First kinase;
DE   AltName: CD_antigen=CD999;
DE   Contains:
DE     RecName: Full=Kinase one chain A;
DE              EC=3.4.21.-;
DE   Flags: Precursor;
GN   Name=KIN1A {ECO:0000303|PubMed:28106072,
GN   ECO:0000312|HGNC:HGNC:26465}; Synonyms=KA, KB; ORFNames=F1;
GN   and
GN   OrderedLocusNames=At1g1, At1g2; ORFNames=F2;
OS   Homo sapiens (Human).
OC   Eukaryota; Metazoa.
OX   NCBI_TaxID=9606 {ECO:0000312|Proteomes:UP000005640};
RN   [1]
RT   "A title: FUNCTION of it.";
CC   -!- FUNCTION: Binds N6-methyladenosine (m6A)-
CC       containing RNAs (PubMed:28106072, Ref.3, PubMed:28106076), in pre-
CC       and post-synaptic cells (By similarity). Shown in PubMed:1234 to
CC       act - or to bind -
CC       alone (Probable). {ECO:0000250|UniProtKB:P62261,
CC       ECO:0000269|PubMed:12917326}.
CC   -!- FUNCTION: [Isoform 2]: Does not bind. {ECO:0000269|PubMed:32053707}.
CC   -!- CATALYTIC ACTIVITY:
CC       Reaction=ATP + L-seryl-[protein] = ADP + H(+) + O-phospho-L-seryl-
CC         [protein]; Xref=Rhea:RHEA:17989, ChEBI:CHEBI:15378; EC=2.7.11.1;
CC         Evidence={ECO:0000269|PubMed:31292544};
CC       PhysiologicalDirection=left-to-right; Xref=Rhea:RHEA:17990;
CC         Evidence={ECO:0000305};
CC   -!- COFACTOR:
CC       Name=Mg(2+); Xref=ChEBI:CHEBI:18420;
CC         Evidence={ECO:0000269|PubMed:17850751};
CC       Name=Mn(2+); Xref=ChEBI:CHEBI:29035;
CC       Note=Binds 2 magnesium ions. Also active with manganese.
CC       {ECO:0000269|PubMed:17850751};
CC   -!- BIOPHYSICOCHEMICAL PROPERTIES:
CC       Kinetic parameters:
CC         KM=98 uM for ATP (at pH 7.5 and 25 degrees Celsius)
CC         {ECO:0000269|PubMed:10510276};
CC         Vmax=1.604 mmol/min/mg enzyme;
CC         Note=Slow.;
CC       pH dependence:
CC         Optimum pH is 7.75. {ECO:0000269|PubMed:10510276};
CC   -!- SUBCELLULAR LOCATION: Cell membrane {ECO:0000269|PubMed:1};
CC       Multi-pass membrane protein {ECO:0000255}; Cytoplasmic side
CC       {ECO:0000255}. Nucleus. Note=Moves at night. {ECO:0000269|PubMed:2}.
CC   -!- ALTERNATIVE PRODUCTS:
CC       Event=Alternative splicing; Named isoforms=2;
CC       Name=1;
CC         IsoId=P12345-1; Sequence=Displayed;
CC   -!- INTERACTION:
CC       P12345; Q96AP0: ACD; NbExp=2; IntAct=EBI-356498, EBI-717666;
CC   -!- PTM: Cleaved.
CC   -!- DISEASE: Kinase deficiency (KD) [MIM:603285]: A rare one (PubMed:3).
CC       {ECO:0000269|PubMed:3}. Note=The disease is caused by variants.
CC   -!- SIMILARITY: Belongs to the kinase family. {ECO:0000305}.
CC   ---------------------------------------------------------------------------
CC   Copyrighted by the UniProt Consortium, see https://www.uniprot.org/terms
CC   Distributed under the Creative Commons Attribution (CC BY 4.0) License
CC   ---------------------------------------------------------------------------
DR   PDB; 1ABC; X-ray; 2.00 A; A=1-56.
DR   GO; GO:0005829; C:cytosol; IDA:HPA.
DR   GO; GO:0005524; F:ATP binding; IEA:UniProtKB-KW.
DR   GO; GO:0003723; F:RNA binding; HDA:UniProtKB.
DR   GO; GO:0006468; P:protein phosphorylation; IEA:InterPro.
PE   1: Evidence at protein level;
KW   ATP-binding {ECO:0000256|ARBA:ARBA00022840}; Host-
KW   virus interaction; Kinase.
FT   CHAIN           1..56
SQ   SEQUENCE   56 AA;  6000 MW;  F1F1F1F1F1F1F1F1 CRC64;
     MKVLAAGIVG LCAKRSTPQW YHNDEFMKVL AAGIVGLCAK RSTPQWYHND
     EFXUBZ
//
"""

XML_ENTRY = """\
<entry dataset="Swiss-Prot" created="1997-11-01" modified="2010-01-19" version="95">
  <accession>P12345</accession>
  <accession>Q99999</accession>
  <name>KIN1_HUMAN</name>
  <protein>
    <recommendedName>
      <fullName evidence="1">Kinase; one</fullName>
      <shortName evidence="1 2">K1</shortName>
      <ecNumber evidence="1">2.7.11.1</ecNumber>
    </recommendedName>
    <alternativeName>
      <fullName>First kinase</fullName>
    </alternativeName>
    <cdAntigenName>CD999</cdAntigenName>
    <component>
      <recommendedName>
        <fullName>Kinase one chain A</fullName>
        <ecNumber>3.4.21.-</ecNumber>
      </recommendedName>
    </component>
  </protein>
  <gene>
    <name type="primary" evidence="4">KIN1A</name>
    <name type="synonym">KA</name>
    <name type="ORF">F1</name>
  </gene>
  <gene>
    <name type="ordered locus">At1g1</name>
    <name type="ordered locus">At1g2</name>
    <name type="ORF">F2</name>
  </gene>
  <organism>
    <name type="scientific">Homo sapiens</name>
    <name type="common">Human</name>
    <dbReference type="NCBI Taxonomy" id="9606"/>
  </organism>
  <comment type="function">
    <text evidence="2 3">Binds N6-methyladenosine (m6A)-containing RNAs (PubMed:28106072, Ref.3, \
PubMed:28106076), in pre- and post-synaptic cells (By similarity). Shown in PubMed:1234 to act - or\
 to bind - alone (Probable).</text>
  </comment>
  <comment type="function">
    <molecule>Isoform 2</molecule>
    <text evidence="7">Does not bind.</text>
  </comment>
  <comment type="catalytic activity">
    <reaction evidence="1">
      <text>ATP + L-seryl-[protein] = ADP + H(+) + O-phospho-L-seryl-[protein]</text>
      <dbReference type="Rhea" id="RHEA:17989"/>
      <dbReference type="EC" id="2.7.11.1"/>
    </reaction>
    <physiologicalReaction direction="left-to-right" evidence="5">
      <dbReference type="Rhea" id="RHEA:17990"/>
    </physiologicalReaction>
  </comment>
  <comment type="cofactor">
    <cofactor evidence="6"><name>Mg(2+)</name><dbReference type="ChEBI" id="CHEBI:1"/></cofactor>
    <cofactor><name>Mn(2+)</name><dbReference type="ChEBI" id="CHEBI:29035"/></cofactor>
    <text evidence="6">Binds 2 magnesium ions. Also active with manganese.</text>
  </comment>
  <comment type="biophysicochemical properties">
    <kinetics>
      <KM evidence="8">98 uM for ATP (at pH 7.5 and 25 degrees Celsius)</KM>
      <Vmax>1.604 mmol/min/mg enzyme</Vmax>
      <text>Slow.</text>
    </kinetics>
    <phDependence><text evidence="8">Optimum pH is 7.75.</text></phDependence>
  </comment>
  <comment type="subcellular location">
    <subcellularLocation>
      <location evidence="9">Cell membrane</location>
      <topology>Multi-pass membrane protein</topology>
      <orientation>Cytoplasmic side</orientation>
    </subcellularLocation>
    <subcellularLocation><location>Nucleus</location></subcellularLocation>
    <text evidence="9">Moves at night.</text>
  </comment>
  <comment type="alternative products"><event type="alternative splicing"/></comment>
  <comment type="PTM"><text>Cleaved.</text></comment>
  <comment type="disease" evidence="9">
    <disease id="DI-00257">
      <name>Kinase deficiency</name>
      <acronym>KD</acronym>
      <description>A rare one (PubMed:3).</description>
      <dbReference type="MIM" id="603285"/>
    </disease>
    <text>The disease is caused by variants.</text>
  </comment>
  <comment type="similarity"><text evidence="5">Belongs to the kinase family.</text></comment>
  <dbReference type="EC" id="2.7.11.1" evidence="1"/>
  <dbReference type="EC" id="3.4.21.-"/>
  <dbReference type="PDB" id="1ABC"><property type="method" value="X-ray"/></dbReference>
  <dbReference type="GO" id="GO:0005829">
    <property type="term" value="C:cytosol"/><property type="evidence" value="ECO:0000314"/>
  </dbReference>
  <dbReference type="GO" id="GO:0005524"><property type="term" value="F:ATP binding"/></dbReference>
  <dbReference type="GO" id="GO:0003723"><property type="term" value="F:RNA binding"/></dbReference>
  <dbReference type="GO" id="GO:0006468">
    <property type="term" value="P:protein phosphorylation"/>
  </dbReference>
  <keyword id="KW-0067" evidence="1">ATP-binding</keyword>
  <keyword id="KW-0945">Host-virus interaction</keyword>
  <keyword id="KW-0418">Kinase</keyword>
  <sequence length="56" mass="6000" checksum="F1F1F1F1F1F1F1F1" modified="1990-01-01" version="1">\
MKVLAAGIVGLCAKRSTPQWYHNDEFMKVLAAGIVGLCAKRSTPQWYHNDEFXUBZ</sequence>
</entry>
"""

XML_HEAD = """\
<?xml version="1.0" encoding="UTF-8"?>
<uniprot xmlns="http://uniprot.org/uniprot" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xsi:schemaLocation="http://uniprot.org/uniprot http://www.uniprot.org/docs/uniprot.xsd">
"""
XML_END = """\
<copyright>
Copyrighted by the UniProt Consortium, see https://www.uniprot.org/terms Distributed under the \
Creative Commons Attribution (CC BY 4.0) License
</copyright>
</uniprot>
"""


def xml(*entries: str) -> str:
    return XML_HEAD + "".join(entries) + XML_END


def flat_entry(accession: str, sequence: str, name: str = "RecName: Full=Some protein;") -> str:
    return (
        f"ID   X_X   Unreviewed;  {len(sequence)} AA.\nAC   {accession};\nDE   {name}\n"
        f"SQ   SEQUENCE   {len(sequence)} AA;  1 MW;  0 CRC64;\n     {sequence}\n//\n"
    )


def xml_entry(accession: str, sequence: str) -> str:
    return (
        f'<entry dataset="TrEMBL" version="1"><accession>{accession}</accession>\n'
        f"<protein><submittedName><fullName>Some protein</fullName></submittedName></protein>\n"
        f'<sequence length="{len(sequence)}">{sequence}</sequence>\n</entry>\n'
    )
