"""Composition: what instances a record gives, drawn from its id and the seed alone."""

import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest
import selfies
from rdkit import Chem

from biomatrix_jax.errors import BadInput
from biomatrix_jax.structure.molecule import MoleculeTokenizer, vqvae
from biomatrix_jax.tokens.segments import (
    Molecule3D,
    Protein3D,
    ProteinSequence,
    Selfies,
    Smiles,
    Text,
)
from data_pipeline.composition import Composition, compose
from data_pipeline.composition.draw import Draw
from data_pipeline.composition.facts import described, molecule_facts
from data_pipeline.composition.views import StructureTokenizers
from data_pipeline.records import (
    InteractionRecord,
    InterleavedRecord,
    Mention,
    MoleculeRecord,
    Property,
    ProteinRecord,
    TextRecord,
)
from data_pipeline.sources.conformers import with_conformer
from data_pipeline.sources.tally import Tally

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
# Every instance and every field, or none of them.
OTHER = {"fields", "random_smiles", "mention_selfies", "beyond_vocabulary"}
ALL = dict.fromkeys(Composition.__dataclass_fields__.keys() - OTHER, 1.0)
NONE = dict.fromkeys(ALL, 0.0)


def molecule(
    identifier: str = "m", smiles: str = ASPIRIN, name: str = "", conformer: bool = True, **more
) -> MoleculeRecord:
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    if conformer:
        mol.AddConformer(Chem.Conformer(mol.GetNumAtoms()))
    return MoleculeRecord(identifier, smiles, name, mol, **more)


def protein(
    identifier: str = "p", sequence: str = "MKXV", title: str = "", structure: bool = True, **more
) -> ProteinRecord:
    backbone = np.zeros((len(sequence), 4, 3), np.float32)
    backbone[[i for i, letter in enumerate(sequence) if letter == "X"]] = np.nan
    return ProteinRecord(identifier, "A", sequence, backbone if structure else None, title, **more)


def run(records, seed=0, tally=None, tokenizers=None, spells=lambda segment: True, **settings):
    tally = Tally() if tally is None else tally
    tokenizers = StructureTokenizers(**(tokenizers or {}))
    composition = Composition(**settings)
    return list(compose(records, composition, seed, tally, tokenizers=tokenizers, spells=spells))


def wrapped(instance) -> str:
    return "".join(segment.wrapped() for segment in instance)


@dataclass
class ConstantMolecules:
    """Stands in for a trained tokenizer; refuses molecules that have a chlorine."""

    batches: list[int] = field(default_factory=list)

    def encode_batch(self, mols):
        self.batches.append(len(mols))
        return [self._encode(mol) for mol in mols]

    def _encode(self, mol):
        if mol.HasSubstructMatch(Chem.MolFromSmarts("Cl")):
            return BadInput("no chlorine, please")

        @dataclass
        class Encoding:
            struct_selfies: str = "[C 1][H 2]"

        return Encoding()


class CountingProteins:
    """Residue i has code i; unobserved residues -1."""

    def encode_batch(self, chains):
        return [self._encode(backbone, sequence) for backbone, sequence in chains]

    def _encode(self, backbone, sequence):
        if sequence.startswith("W"):
            return BadInput("no tryptophan first, please")
        codes = np.arange(len(sequence), dtype=np.int32)
        return np.where(np.isnan(backbone).any(axis=(1, 2)), -1, codes)


def test_each_view_stands_alone_and_the_composite_has_all_fields():
    [smiles, sf, conformer, composite] = run(
        [molecule(name="aspirin")], tokenizers={"molecule": ConstantMolecules()}, **ALL
    )
    assert smiles == [Smiles(ASPIRIN)]
    assert sf == [Selfies(selfies.encoder(ASPIRIN))]
    assert conformer == [Molecule3D("[C 1][H 2]")]
    assert sorted(wrapped(composite).split("\n")) == [
        "Conformer: <|mol_3d_start|>[C 1][H 2]<|mol_3d_end|>",
        "Hydrogen bond acceptors: 3",
        "Hydrogen bond donors: 1",
        "LogP (Crippen): 1.31",
        "Molecular formula: C9H8O4",
        "Molecular weight: 180.16 g/mol",
        "Name: aspirin",
        f"SELFIES: <|mol_sfi_start|>{selfies.encoder(ASPIRIN)}<|mol_sfi_end|>",
        f"SMILES: <|mol_smi_start|>{ASPIRIN}<|mol_smi_end|>",
        "Topological polar surface area: 63.6 Å²",
    ]


def test_neighbouring_texts_are_one_segment_and_none_is_empty():
    for instance in run([molecule(str(i), name="x") for i in range(50)]):
        kinds = [segment.modality for segment in instance]
        assert all(a != b for a, b in itertools.pairwise(kinds))
        assert all(segment.text for segment in instance if isinstance(segment, Text))
        assert "\n\n" not in wrapped(instance)
        assert not wrapped(instance).endswith("\n")


def test_draws_depend_on_id_and_seed_alone():
    records = [molecule(str(i)) for i in range(300)]  # more than one chunk
    composites = run(records, smiles_alone=0, selfies_alone=0)
    alone = [
        instance
        for r in reversed(records)
        for instance in run([r], smiles_alone=0, selfies_alone=0)
    ]
    assert list(reversed(alone)) == composites
    assert run(records) == run(records)
    assert run(records, seed=1) != run(records)
    assert len({wrapped(instance) for instance in composites}) > 100  # ids draw apart


def test_draws_are_the_same_on_every_machine():
    draw = Draw("nci:1", 0)
    assert [draw.uniform(name) for name in ("smiles", "selfies")] == [
        0.7571586571577429,
        0.6558882322409169,
    ]
    assert draw.order("abcdef") == list("cbdfae")
    assert 0 <= draw.seed("x") < 2**31
    assert Draw("nci:1", 1).uniform("smiles") != draw.uniform("smiles")
    assert Draw("1", 1).uniform("a") != Draw("", 11).uniform("a")


def test_a_missing_view_changes_nothing_about_the_others():
    records = [molecule(str(i)) for i in range(40)]
    alone = {"smiles_alone": 0, "selfies_alone": 0, "molecule_3d_alone": 0}
    without = run(records, **alone)
    with_3d = run(records, tokenizers={"molecule": ConstantMolecules()}, **alone)
    less = [
        [line for line in wrapped(instance).split("\n") if not line.startswith("Conformer")]
        for instance in with_3d
    ]
    # Where the conformer is the only view or the only company there is no composite without it.
    less = [lines for lines in less if len(lines) > 1 and "|mol_" in "".join(lines)]
    assert less == [wrapped(instance).split("\n") for instance in without]


def test_probabilities_are_met_on_average():
    records = [molecule(str(i), name="x") for i in range(1500)]
    texts = [wrapped(instance) for instance in run(records, smiles_alone=0.3, selfies_alone=0)]
    alone = sum(text == f"<|mol_smi_start|>{ASPIRIN}<|mol_smi_end|>" for text in texts)
    assert abs(alone / 1500 - 0.3) < 0.04
    for label, expected in (("Name: ", 0.8 * 0.96), ("SMILES: ", 0.8), ("LogP", 0.5)):
        assert abs(sum(label in text for text in texts) / 1500 - expected) < 0.04
    first = sum(text.startswith("Name: ") for text in texts)
    last = sum(text.endswith("Name: x") for text in texts)
    assert 100 < first < 280  # every field leads about as often
    assert 100 < last < 280


def test_composites_need_a_view_and_company():
    assert run([molecule()], **{**NONE, "composite": 1, "smiles": 1}) == []
    assert run([molecule()], **{**NONE, "composite": 1, "formula": 1, "tpsa": 1}) == []
    assert len(run([molecule()], **{**NONE, "composite": 1, "formula": 1, "smiles": 1})) == 1
    assert run([molecule()], **{**ALL, "composite": 0, "smiles_alone": 0, "selfies_alone": 0}) == []


def test_counts_add_up_and_say_what_was_lost():
    tally = Tally()
    tokenizer = ConstantMolecules()
    records = [
        molecule("good"),
        molecule("chlorine", "CCCl"),
        molecule("hypervalent", "CI(F)F"),
        TextRecord("text", "", "Some prose."),
        protein("bad", "MkV"),
        TextRecord("surrogate", "", "\ud800"),
    ]
    tokenizers = {"molecule": tokenizer}
    instances = run(records, tally=tally, tokenizers=tokenizers, composite=0)
    assert tokenizer.batches == [3]
    assert [len(i) for i in instances] == [1] * 8
    assert instances[-1] == [Text("Some prose.")]
    assert tally.balanced
    assert (tally.records_in, tally.records_out) == (6, 4)
    assert tally.dropped == {"no segment can hold it": 2}
    assert tally.first["no segment can hold it"].startswith("bad: ProteinSequence has 'k'")
    assert tally.lost == {"3D view: BadInput": 1, "SELFIES: beyond its valence rules": 1}
    tally = Tally()
    assert run([molecule("m")], tally=tally, **NONE) == []
    assert tally.dropped == {"nothing of it was drawn": 1}


def test_molecules_of_the_real_tokenizer(tmp_path):
    config = vqvae.VQVAEConfig()
    tokenizer = MoleculeTokenizer(config, vqvae.init(config, np.random.default_rng(0)))
    records = []
    for smiles in ("CCO", "CC.O", "CC#CC"):
        mol = with_conformer(Chem.MolFromSmiles(smiles), seed=0)
        records.append(MoleculeRecord(smiles, smiles, "", mol))
    records.append(molecule("flat", conformer=False))
    tally = Tally()
    instances = run(
        records,
        tally=tally,
        tokenizers={"molecule": tokenizer},
        **{**NONE, "molecule_3d_alone": 1},
    )
    assert instances[0] == [Molecule3D(tokenizer.encode(records[0].mol).struct_selfies)]
    assert len(instances) == tally.records_out
    assert tally.lost["3D view: SeveralFragments"] == 1
    assert tally.lost.total() == 1  # what never had a conformer lost nothing
    assert tally.first["3D view: SeveralFragments"] == "CC.O"
    assert tally.balanced


def test_proteins_without_a_tokenizer_have_their_sequence_and_title():
    [sequence, composite] = run([protein(title="A KINASE")], **ALL)
    assert sequence == [ProteinSequence("MKXV")]
    assert sorted(wrapped(composite).split("\n")) == [
        "Sequence: <|prot_aa_start|><A M><A K><A X><A V><|prot_aa_end|>",
        "Title: A KINASE",
    ]
    assert run([protein()], **ALL) == [[ProteinSequence("MKXV")]]


def test_proteins_with_a_structure_have_three_views_and_a_composite():
    tokenizers = {"protein": CountingProteins()}
    records = [protein(str(i), title="A KINASE") for i in range(60)]
    instances = run(records, tokenizers=tokenizers, **ALL)
    sequence, structure = ProteinSequence("MKXV"), Protein3D((0, 1, 3))
    pairs = set()
    for one, other, pair, composite in (
        itertools.batched(instances, 4)
        if hasattr(itertools, "batched")
        else zip(*[iter(instances)] * 4, strict=True)
    ):
        assert one == [sequence]
        assert other == [structure]
        pairs.add(tuple(pair))
        assert len(wrapped(composite).split("\n")) == 3
    assert pairs == {(sequence, structure), (structure, sequence)}


def test_a_protein_structure_that_fails_is_lost_and_the_sequence_stays():
    tally = Tally()
    instances = run(
        [protein("w", "WKV"), protein("x", "XX")],
        tally=tally,
        tokenizers={"protein": CountingProteins()},
    )
    assert instances == [[ProteinSequence("WKV")], [ProteinSequence("XX")]]
    assert tally.lost == {"3D view: BadInput": 2}


def test_probabilities_outside_their_range_are_refused():
    for value in (-0.1, 1.1, float("nan")):
        with pytest.raises(BadInput, match="the probability of logp must be from 0 to 1"):
            Composition(logp=value)


@pytest.mark.parametrize(
    ("smiles", "expected"),
    [
        (
            "CCO",
            ["C2H6O", "46.07 g/mol", "0.00", "20.2 Å²", "1", "1"],
        ),
        (
            "C[N+](C)(C)CC(=O)[O-]",
            ["C5H11NO2", "117.15 g/mol", "-1.56", "40.1 Å²", "0", "2"],
        ),
    ],
)
def test_properties_do_not_depend_on_how_hydrogens_are_written(smiles, expected):
    mol = Chem.MolFromSmiles(smiles)
    for one in (mol, Chem.AddHs(mol)):
        facts = [fact.line() for fact in molecule_facts(one).values()]
        assert [fact.split(": ")[1] for fact in facts] == expected


def test_protein_record_checks_its_backbone():
    with pytest.raises(BadInput, match="backbone is float64"):
        ProteinRecord("p", "A", "MK", np.zeros((2, 4, 3)), "")
    with pytest.raises(BadInput, match=r"not float32 \(3, 4, 3\)"):
        ProteinRecord("p", "A", "MKV", np.zeros((2, 4, 3), np.float32), "")


def test_what_a_corpus_brings_stands_in_lines_with_units():
    record = molecule(
        texts={"IUPAC name": "2-acetyloxybenzoic acid", "Description": "A drug."},
        properties=(
            Property("HOMO-LUMO gap", 4.123456, "eV"),
            Property("Rings", 1),
            Property("Ki", 10000.0, "nM", ">"),
            Property("Ki", 0.00123, "nM"),
        ),
    )
    chosen = {**NONE, "composite": 1, "smiles": 1, "texts": 1, "properties": 1}
    [composite] = run([record], **chosen)
    assert sorted(wrapped(composite).split("\n")) == [
        "Description: A drug.",
        "HOMO-LUMO gap: 4.123 eV",
        "IUPAC name: 2-acetyloxybenzoic acid",
        "Ki: 0.00123 nM",
        "Ki: > 10000 nM",
        "Rings: 1",
        f"SMILES: <|mol_smi_start|>{ASPIRIN}<|mol_smi_end|>",
    ]
    both = molecule(texts={"Use": "a drug"}, properties=(Property("Use", "analgesic"),))
    [composite] = run([both], **chosen)
    assert "Use: a drug\nUse: analgesic" in wrapped(composite)
    only = {**NONE, "composite": 1, "smiles": 1, "fields": {"IUPAC name": 1.0}}
    assert wrapped(run([record], **only)[0]).count("\n") == 1


def test_molecules_without_conformers_are_not_encoded():
    tokenizer = ConstantMolecules()
    tally = Tally()
    records = [molecule("flat", conformer=False), molecule("round")]
    instances = run(records, tally=tally, tokenizers={"molecule": tokenizer}, composite=0)
    assert tokenizer.batches == [1]
    assert [len(i) for i in instances] == [1] * 5
    assert not tally.lost


def test_smiles_written_at_random_are_the_same_molecule():
    records = [molecule(str(i), "C[C@H](N)C(=O)OCc1ccccc1") for i in range(40)]
    alone = {**NONE, "smiles_alone": 1, "random_smiles": 0.5}
    written = [instance[0].smiles for instance in run(records, **alone)]
    assert 10 < sum(smiles == records[0].smiles for smiles in written) < 30
    assert len(set(written)) > 12
    canonical = Chem.MolToSmiles(Chem.MolFromSmiles(records[0].smiles))
    assert {Chem.MolToSmiles(Chem.MolFromSmiles(smiles)) for smiles in written} == {canonical}
    assert run(records, **alone) == run(records, **alone)


def test_a_view_beyond_the_vocabulary_goes_alone_or_takes_its_record_along():
    def spells(segment):
        return not isinstance(segment, Selfies)

    tally = Tally()
    [instance] = run([molecule()], tally=tally, spells=spells, composite=0)
    assert instance == [Smiles(ASPIRIN)]
    assert tally.lost == {"SELFIES: beyond the vocabulary": 1}
    tally = Tally()
    assert run([molecule()], tally=tally, spells=spells, beyond_vocabulary="record") == []
    assert tally.dropped == {"SELFIES: beyond the vocabulary": 1}
    assert tally.balanced
    with pytest.raises(BadInput, match="beyond_vocabulary is view or record, not 'both'"):
        Composition(beyond_vocabulary="both")


def test_a_record_of_which_the_vocabulary_has_no_view_says_so():
    tally = Tally()
    assert run([protein(title="x")], tally=tally, spells=lambda segment: False) == []
    assert tally.dropped == {"no view that the vocabulary can spell": 1}
    assert tally.balanced


def test_a_molecule_that_a_library_gives_up_on_keeps_its_other_views():
    deep = "C(" * 3000 + "C" + ")C" * 3000
    ethane = Chem.MolFromSmiles("CC")
    tally = Tally()
    [instance] = run([MoleculeRecord("deep", deep, "", ethane)], tally=tally, composite=0)
    assert instance == [Smiles(deep)]
    assert tally.lost == {"SELFIES: branches too deep": 1}
    unread = MoleculeRecord("unread", "c1cccc1", "", ethane)  # as one that RDKit wrote
    tally = Tally()
    [instance] = run([unread], tally=tally, composite=0, selfies_alone=0, random_smiles=1)
    assert instance == [Smiles("c1cccc1")]
    assert tally.lost["SMILES at random: its own does not parse"] == 1


def test_an_interaction_has_its_partners_and_what_was_measured():
    record = InteractionRecord(
        "bdb:1",
        (molecule("m", "CCO", name="ethanol"), protein(title="ADH", structure=False)),
        properties=(Property("Ki", 12.5, "nM"),),
    )
    [instance] = run([record], **ALL)
    assert sorted(wrapped(instance).split("\n")) == [
        "Ki: 12.5 nM",
        "Molecule, Name: ethanol",
        "Molecule, SELFIES: <|mol_sfi_start|>[C][C][O]<|mol_sfi_end|>",
        "Molecule, SMILES: <|mol_smi_start|>CCO<|mol_smi_end|>",
        "Protein, Name: ADH",
        "Protein, Sequence: <|prot_aa_start|><A M><A K><A X><A V><|prot_aa_end|>",
    ]
    # Each partner is there by one view at least.
    shown = [
        {segment.modality for segment in run([record], seed, **{**NONE, "composite": 1})[0]}
        for seed in range(20)
    ]
    assert all("protein_sequence" in kinds and kinds & {"smiles", "selfies"} for kinds in shown)
    assert {"smiles"} <= set().union(*shown) >= {"selfies"}


def test_partners_of_one_kind_are_numbered_and_have_their_structures():
    record = InteractionRecord("ppi", (protein("a"), protein("b", "GGG")))
    only = {**NONE, "composite": 1, "protein_3d": 1}
    [instance] = run([record], tokenizers={"protein": CountingProteins()}, **only)
    assert sorted(wrapped(instance).split("\n")) == [
        "Protein 1, Structure: <|prot_3d_start|><S 0><S 1><S 3><|prot_3d_end|>",
        "Protein 2, Structure: <|prot_3d_start|><S 0><S 1><S 2><|prot_3d_end|>",
    ]


def test_a_partner_that_cannot_be_spelled_takes_the_interaction_along():
    record = InteractionRecord("x", (molecule(), protein()))
    tally = Tally()
    run([record], tally=tally, spells=lambda s: not isinstance(s, ProteinSequence))
    assert tally.dropped == {"no view that the vocabulary can spell": 1}


def test_mentions_are_spelled_out_behind_what_mentions_them():
    text = "Äthanol (ethanol) binds ADH."
    record = InterleavedRecord(
        "t",
        "",
        text,
        (Mention(9, 16, "molecule", "CCO"), Mention(24, 27, "protein", "MKV")),
    )
    [instance] = run([record], mention_selfies=0)
    assert instance == [
        Text("Äthanol (ethanol "),
        Smiles("CCO"),
        Text(") binds ADH "),
        ProteinSequence("MKV"),
        Text("."),
    ]
    [selfies_instead] = run([record], mention_selfies=1)
    assert selfies_instead[1] == Selfies("[C][C][O]")
    assert run([record], mention=0) == [[Text(text)]]
    tally = Tally()
    [without] = run([record], tally=tally, spells=lambda s: s.modality != "protein_sequence")
    assert wrapped(without).endswith(") binds ADH.")
    assert tally.lost == {"Sequence: beyond the vocabulary": 1}


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (4.123456, "4.123"),
        (0.00123, "0.00123"),
        (12345.6, "12346"),
        (100.0, "100"),
        (-0.00001, "-1e-05"),
        (0.0, "0"),
        (-0.0, "0"),
        (9.99996, "10"),
        (6.02e23, "6.02e+23"),
    ],
)
def test_numbers_have_no_more_digits_than_matter(value, written):
    assert described(Property("x", value)) == f"x: {written}"


def test_total_energies_keep_the_decimals_that_matter():
    energy = Property("Internal energy", -40.4789301, "hartree", decimals=5)
    assert described(energy) == "Internal energy: -40.47893 hartree"
    assert described(Property("Exact mass", 180.04225873, "Da", decimals=4)).endswith("180.0423 Da")


def test_a_value_of_the_corpus_stands_for_the_computed_one():
    record = molecule(properties=(Property("Molecular weight", 180.2, "g/mol"),))
    [*_, composite] = run([record], **ALL)
    weights = [line for line in wrapped(composite).split("\n") if line.startswith("Molecular w")]
    assert weights == ["Molecular weight: 180.2 g/mol"]
