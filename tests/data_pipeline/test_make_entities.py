"""The table of entities in the box, and the script that makes it."""

import hashlib
import re

import pytest

from biomatrix_jax.errors import BadInput
from data_pipeline.assets.make_entities import molecules, proteins, read_terms
from data_pipeline.entities.matcher import Matcher
from data_pipeline.entities.table import IN_THE_BOX, Entity, open_table

OBO = """format-version: 1.2

[Term]
id: CHEBI:1
name: Ethanol
def: "synonym: not one" []
synonym: "ethyl alcohol" EXACT IUPAC_NAME [IUPAC:]
synonym: "spirit" RELATED [ChEBI:]
synonym: "C2H6O" RELATED FORMULA [ChEBI:]
synonym: "OCC" RELATED SMILES [ChEBI:]

[Term]
id: CHEBI:2
name: an alcohol
synonym: "O[*]" RELATED SMILES [ChEBI:]

[Term]
id: CHEBI:3
name: methanol
synonym: "Spirit" RELATED [ChEBI:]
synonym: "CO" RELATED SMILES [ChEBI:]

[Term]
id: CHEBI:4
name: class of compounds

[Term]
id: CHEBI:5
name: old name
synonym: "C" RELATED SMILES [ChEBI:]
is_obsolete: true

[Typedef]
id: is_part_of
name: is part of

"""


def test_terms_become_rows(tmp_path):
    (tmp_path / "chebi.obo").write_text(OBO)
    terms = list(read_terms(tmp_path / "chebi.obo"))
    assert [term.identifier for term in terms] == ["CHEBI:1", "CHEBI:3"]
    assert list(molecules(terms, ["ethanol", "Ethyl alcohol", "methanol"])) == [
        ("CHEBI:1", "molecule", "CCO", "Ethanol|Ethyl alcohol|ethanol"),
        ("CHEBI:3", "molecule", "CO", "methanol"),
    ]
    with pytest.raises(BadInput, match="spirit is a synonym of 2 terms"):
        list(molecules(terms, ["spirit"]))
    with pytest.raises(BadInput, match="old name is a synonym of 0 terms"):
        list(molecules(terms, ["old name"]))


def test_the_asset_is_the_one_its_provenance_describes():
    provenance = (IN_THE_BOX.parent / "PROVENANCE.md").read_text()
    digest = re.search(r"asset \| sha256 `(\w+)`", provenance)[1]
    assert digest == hashlib.sha256(IN_THE_BOX.read_bytes()).hexdigest()
    rows = [line.split("\t") for line in IN_THE_BOX.read_text().splitlines()[1:]]
    kinds = [row[1] for row in rows]
    names = [name for row in rows for name in row[3].split("|")]
    assert f"{len(rows)} entities" in provenance
    assert f"{kinds.count('molecule')} molecules, {kinds.count('protein')} proteins" in provenance
    assert f"under {len(names)} names" in provenance
    assert rows[-len(PROTEINS) :] == PROTEINS


PROTEINS = [list(row) for row in proteins()]


def test_every_entity_of_the_asset_can_be_inserted_and_every_name_is_used():
    table = open_table(None)
    named = dict(table.names())
    for name, entity in named.items():
        assert table.canonical(entity) == entity, name
    assert not Matcher(named.items()).unused
    assert named["caffeine"] == Entity("molecule", "Cn1c(=O)c2c(ncn2C)n(C)c1=O")
    assert named["aspirin"] == named["acetylsalicylic acid"]
    assert named["L-alanine"].string == "C[C@H](N)C(=O)O"
    assert named["ubiquitin"].string.endswith("LRLRGG")
