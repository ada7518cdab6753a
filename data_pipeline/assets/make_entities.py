"""Makes biomatrix_jax/assets/entities/entities.tsv: some molecules and proteins and their names.

Molecules are those of `MOLECULES` as the ChEBI ontology has them (CC BY), proteins are chains of
the structures in the box (CC0). The licence, the version and how to fetch the ontology are in
PROVENANCE.md beside the asset.

  python -m data_pipeline.assets.make_entities chebi.obo
"""

import argparse
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file
from data_pipeline import sources
from data_pipeline.entities.table import COLUMNS, IN_THE_BOX
from data_pipeline.formats.lines import decoded, read_lines
from data_pipeline.sources.molecules import from_smiles
from data_pipeline.sources.tally import Tally

# Names that mean one compound wherever a text of biology has them. Words of other meanings (lead),
# mixtures and the commonest (water) are left out.
MOLECULES = """
alanine; L-alanine; D-alanine; beta-alanine; arginine; L-arginine; asparagine; L-asparagine;
aspartic acid; L-aspartic acid; cysteine; L-cysteine; glutamic acid; L-glutamic acid; glutamine;
L-glutamine; glycine; histidine; L-histidine; isoleucine; L-isoleucine; leucine; L-leucine;
lysine; L-lysine; methionine; L-methionine; phenylalanine; L-phenylalanine; proline; L-proline;
serine; L-serine; threonine; L-threonine; tryptophan; L-tryptophan; tyrosine; L-tyrosine; valine;
L-valine; selenocysteine; pyrrolysine; ornithine; citrulline; homocysteine; homoserine; taurine;
creatine; creatinine; carnitine; sarcosine; glutathione; gamma-aminobutyric acid; adenine;
guanine; cytosine; thymine; uracil; hypoxanthine; uric acid; adenosine; guanosine; cytidine;
uridine; thymidine; inosine; 2'-deoxyadenosine; 2'-deoxyguanosine; 2'-deoxycytidine; orotic acid;
allantoin; D-glucose; D-galactose; D-mannose; D-fructose; L-fucose; maltose; trehalose; sucrose;
lactose; glycerol; myo-inositol; xylitol; erythritol; acetic acid; formic acid; propionic acid;
butyric acid; lactic acid; pyruvic acid; citric acid; isocitric acid; succinic acid; fumaric acid;
maleic acid; malic acid; oxaloacetic acid; oxalic acid; malonic acid; glutaric acid; adipic acid;
benzoic acid; salicylic acid; cinnamic acid; gallic acid; caffeic acid; ferulic acid; shikimic
acid; chorismic acid; mevalonic acid; nicotinic acid; urea; palmitic acid; stearic acid; oleic
acid; linoleic acid; arachidonic acid; cholesterol; ergosterol; lanosterol; squalene; farnesol;
geraniol; limonene; beta-carotene; lycopene; retinol; all-trans-retinoic acid; cholic acid;
testosterone; progesterone; cortisol; corticosterone; aldosterone; androstenedione; ecdysone;
calcitriol; cholecalciferol; ergocalciferol; dopamine; serotonin; histamine; melatonin;
tryptamine; tyramine; phenethylamine; acetylcholine; choline; noradrenaline; adrenaline;
octopamine; spermidine; spermine; putrescine; cadaverine; thyroxine; ethanol; methanol;
2-propanol; butan-1-ol; acetone; acetaldehyde; formaldehyde; benzene; toluene; phenol; aniline;
pyridine; naphthalene; chloroform; dimethyl sulfoxide; acetonitrile; ammonia; carbon dioxide;
carbon monoxide; hydrogen peroxide; hydrogen sulfide; nitric oxide; riboflavin; nicotinamide;
pyridoxine; pyridoxal; biotin; folic acid; ascorbic acid; pantothenic acid; lipoic acid;
menadione; ubiquinone-10; quinine; nicotine; caffeine; theophylline; theobromine; morphine;
codeine; cocaine; atropine; colchicine; strychnine; capsaicin; curcumin; resveratrol; quercetin;
kaempferol; genistein; camptothecin; paclitaxel; artemisinin; aspirin; ibuprofen; paracetamol;
naproxen; diclofenac; indomethacin; metformin; warfarin; propranolol; haloperidol; diazepam;
fluoxetine; imatinib; methotrexate; doxorubicin; tamoxifen; dexamethasone;
prednisolone; chloramphenicol; tetracycline; ampicillin; erythromycin; vancomycin; rifampicin;
isoniazid; ciprofloxacin; trimethoprim; sulfamethoxazole; chloroquine; acyclovir; zidovudine;
amphotericin B; fluconazole; penicillin G; puromycin; cycloheximide; 5-fluorouracil; glycine
betaine; D-glucitol; D-mannitol
"""

# Chains in the box whose residues are all observed, and what texts call them.
PROTEINS = {
    "1UBI_A": ("ubiquitin",),
    "1EJG_A": ("crambin",),
    "1FKI_A": ("FKBP12", "FKBP-12"),
    "1FAS_A": ("fasciculin 1", "fasciculin-1"),
}


@dataclass
class Term:
    """A compound of the ontology."""

    identifier: str = ""
    name: str = ""
    smiles: str = ""
    synonyms: set[str] = field(default_factory=set)
    obsolete: bool = False


def read_terms(path: str | Path) -> Iterator[Term]:
    """The terms of an OBO file (format 1.2) that have a SMILES of a whole molecule."""
    term = Term()
    for line in map(decoded, read_lines(path)):
        key, _, value = line.partition(": ")
        if line.startswith("["):
            term = Term()
        elif not line and term.smiles and "*" not in term.smiles and not term.obsolete:
            yield term
        elif key == "id":
            term.identifier = value
        elif key == "name":
            term.name = value
        elif key == "is_obsolete":
            term.obsolete = value == "true"
        elif found := re.match(r'synonym: "(.+)" (?:EXACT|RELATED) (SMILES)?', line):
            if found[2]:
                term.smiles = found[1]
            else:
                term.synonyms.add(found[1].lower())


def molecules(terms: Iterable[Term], wanted: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """The row of each term that a wanted name is the name of, or else a synonym of that one alone.

    Raises:
      BadInput: a name leads to no term, or as a synonym to several.
    """
    terms = list(terms)
    by_name = {term.name.lower(): term for term in terms}
    names: dict[str, set[str]] = {}
    chosen: dict[str, Term] = {}
    for name in wanted:
        term = by_name.get(name.lower())
        if term is None:
            known = [term for term in terms if name.lower() in term.synonyms]
            if len(known) != 1:
                raise BadInput(f"{name} is a synonym of {len(known)} terms: choose another name")
            term = known[0]
        chosen[term.identifier] = term
        names.setdefault(term.identifier, {term.name}).add(name)
    for identifier, term in chosen.items():
        smiles = from_smiles(term.smiles, identifier).smiles
        yield identifier, "molecule", smiles, "|".join(sorted(names[identifier]))


def proteins() -> Iterator[tuple[str, ...]]:
    """The rows of the proteins."""
    for record in sources.read("wwpdb", None, None, Tally()):
        if names := PROTEINS.get(record.id):
            yield f"pdb:{record.id}", "protein", record.sequence, "|".join(names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="chebi.obo")
    parser.add_argument("--out", default=IN_THE_BOX, type=Path)
    arguments = parser.parse_args()
    wanted = [" ".join(name.split()) for name in MOLECULES.split(";")]
    rows = [*sorted(molecules(read_terms(arguments.source), wanted)), *sorted(proteins())]
    with atomic_file(arguments.out, "w") as file:
        file.writelines("\t".join(row) + "\n" for row in (COLUMNS, *rows))
    print(f"{len(rows)} entities, {sum(len(row[3].split('|')) for row in rows)} names")


if __name__ == "__main__":
    main()
