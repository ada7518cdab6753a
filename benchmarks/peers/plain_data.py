"""The plainest script for what `biomatrix data build` does: the peer of benchmarks/data_demo.py.

    python benchmarks/peers/plain_data.py RECIPE TOKENIZER OUT

RECIPE is the demo's, TOKENIZER a directory with its tokenizer.json. One process and one loop, for
each source: read a record as the usual libraries do, write what is known of it as strings with the
spellings of the tokens, let the tokenizer library cut them up, append to the row in the making or
begin the next one, write the row. What cannot be read is left out; nothing is removed, accounted
for, checked or continued after an interruption, and what is drawn differs from run to run.

Of this project it takes what has no other make: structure codes, one molecule or chain at a time,
and the bonds of qm9pack's geometries. Prints JSON: for each source the records read, what came of
them, and seconds of processor time by stage. Each source is gone through twice and timed the second
time, when programs are compiled.
"""

import argparse
import contextlib
import csv
import glob
import gzip
import io
import itertools
import json
import random
import re
import time
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import selfies
import yaml
from array_record.python.array_record_module import ArrayRecordWriter
from Bio import SeqIO
from Bio.PDB import PDBParser, PPBuilder
from rdkit import Chem, RDLogger
from rdkit.Chem import Crippen, Descriptors, rdMolDescriptors
from tokenizers import Tokenizer

from biomatrix_jax.structure.molecule import MoleculeTokenizer
from biomatrix_jax.structure.packaged import tokenizer_path
from biomatrix_jax.structure.protein import ProteinTokenizer
from data_pipeline.assets import qm9pack

END = "<|endoftext|>"
VIEW, TEXT, FACT = 0.8, 0.8, 0.5  # the recipe's probabilities


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    RDLogger.DisableLog("rdApp.*")
    recipe = yaml.safe_load(arguments.recipe.read_text())
    tokenizer = Tokenizer.from_file(str(arguments.tokenizer / "tokenizer.json"))
    composers = compose_with(
        MoleculeTokenizer.from_pretrained(tokenizer_path("molecule", "default")),
        ProteinTokenizer.from_pretrained(tokenizer_path("protein", "default")),
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    result = {}
    for source, _ in itertools.product(recipe["sources"], range(2)):
        limit = source.get("options", {}).get("limit")
        records = islice(READERS[source["reader"]](source["path"]), limit)
        path = arguments.out / f"{source['name']}.arrayrecord"
        with contextlib.closing(Rows(path, recipe["row_length"])) as rows:
            compose = composers[source["reader"]]
            result[source["name"]] = convert(records, compose, tokenizer, rows)
    print(json.dumps(result))


def convert(records: Iterator, compose, tokenizer: Tokenizer, rows: "Rows") -> dict:
    """The loop."""
    seconds = defaultdict(float)
    count = documents = tokens = 0
    end = tokenizer.token_to_id(END)

    def timed(stage: str, work, *arguments):
        began = time.process_time()
        done = work(*arguments)
        seconds[stage] += time.process_time() - began
        return done

    nothing = object()
    while (record := timed("read", next, records, nothing)) is not nothing:
        count += 1
        if record is None:
            continue
        texts = timed("compose", compose, record)
        encoded = timed("tokenize", lambda texts=texts: [tokenizer.encode(t).ids for t in texts])
        for ids in encoded:
            ids.append(end)
            documents, tokens = documents + 1, tokens + len(ids)
            for row in timed("pack", rows.add, ids):
                timed("write", rows.write, row)
    timed("write", rows.flush)
    return {
        "records": count,
        "documents": documents,
        "tokens": tokens,
        "rows": rows.count,
        "fill": tokens / (rows.count * rows.length),
        "seconds": dict(seconds),
    }


class Rows:
    """First come, first packed."""

    def __init__(self, path: Path, length: int):
        self.writer = ArrayRecordWriter(str(path), "group_size:1,zstd:3")
        self.length, self.row, self.count = length, [], 0

    def add(self, ids: list[int]) -> list[list[int]]:
        """The rows that are full now; what is longer than a row is cut."""
        full = []
        for start in range(0, len(ids), self.length):
            piece = ids[start : start + self.length]
            if len(self.row) + len(piece) > self.length:
                full.append(self.row)
                self.row = []
            self.row = self.row + piece
        return full

    def write(self, row: list[int]) -> None:
        padded = np.zeros(self.length, np.int32)
        padded[: len(row)] = row
        self.writer.write(padded.tobytes())
        self.count += 1

    def flush(self) -> None:
        if self.row:
            self.write(self.row)

    def close(self) -> None:
        self.writer.close()


def compose_with(molecules: MoleculeTokenizer, proteins: ProteinTokenizer) -> dict:
    """By reader: what makes the texts of a record."""

    def molecule(record: tuple[Chem.Mol, dict]) -> list[str]:
        mol, given = record
        bare = Chem.RemoveHs(mol)
        smiles = Chem.MolToSmiles(bare)
        views = {"SMILES": wrapped("mol_smi", smiles)}
        with contextlib.suppress(selfies.EncoderError):
            views["SELFIES"] = wrapped("mol_sfi", selfies.encoder(smiles))
        if mol.GetNumConformers():
            with contextlib.suppress(Exception):
                views["Conformer"] = wrapped("mol_3d", molecules.encode(mol).struct_selfies)
        facts = {
            "Molecular formula": rdMolDescriptors.CalcMolFormula(bare),
            "Molecular weight": f"{Descriptors.MolWt(bare):.2f} g/mol",
            "LogP (Crippen)": f"{Crippen.MolLogP(bare):.2f}",
            "Topological polar surface area": f"{rdMolDescriptors.CalcTPSA(bare):.1f} Å²",
            "Hydrogen bond donors": rdMolDescriptors.CalcNumHBD(bare),
            "Hydrogen bond acceptors": rdMolDescriptors.CalcNumHBA(bare),
        } | given
        return [*views.values(), composite(drawn(views, VIEW) | drawn(facts, FACT))]

    def structure(record: tuple[str, np.ndarray, str]) -> list[str]:
        sequence, backbone, title = record
        views = {"Sequence": residues(sequence)}
        with contextlib.suppress(Exception):
            codes = proteins.encode(backbone, sequence)
            views["Structure"] = wrapped("prot_3d", "".join(f"<S {c}>" for c in codes if c >= 0))
        pair = list(views.values())
        random.shuffle(pair)
        facts = {"Title": title} if title else {}
        told = composite(drawn(views, VIEW) | drawn(facts, TEXT))
        return [*views.values(), "".join(pair), told]

    def protein(record: tuple[str, dict[str, str]]) -> list[str]:
        sequence, facts = record
        view = residues(sequence)
        told = composite(drawn({"Sequence": view}, VIEW) | drawn(facts, TEXT))
        return [view, told]

    return {
        "qm9": molecule,
        "zinc20": molecule,
        "wwpdb": structure,
        "pubmed": lambda text: [text],
        "uniprot": protein,
    }


def drawn(fields: dict, probability: float) -> dict:
    return {name: value for name, value in fields.items() if random.random() < probability}


def composite(fields: dict) -> str:
    lines = [f"{name}: {value}" for name, value in fields.items()]
    random.shuffle(lines)
    return "\n".join(lines)


def residues(sequence: str) -> str:
    return wrapped("prot_aa", "".join(f"<A {letter}>" for letter in sequence))


def wrapped(kind: str, body: str) -> str:
    return f"<|{kind}_start|>{body}<|{kind}_end|>"


def read_qm9(path: str) -> Iterator[tuple[Chem.Mol, dict] | None]:
    with zipfile.ZipFile(path) as archive:
        for part in qm9pack.PARTS:
            with archive.open(part) as file:
                for row in csv.DictReader(io.TextIOWrapper(file)):
                    try:
                        mol = qm9pack.molecule(qm9pack.row_of(row))
                    except Exception:
                        yield None
                        continue
                    yield mol, {k: v for k, v in row.items() if "_" in k and k != "XYZ_Ang"}


def read_smiles(path: str) -> Iterator[tuple[Chem.Mol, dict] | None]:
    with gzip.open(path, "rt") as file:
        for line in islice(file, 1, None):
            mol = Chem.MolFromSmiles(line.strip())
            yield None if mol is None else (mol, {})


def read_structures(pattern: str) -> Iterator[tuple[str, np.ndarray, str] | None]:
    parser = PDBParser(QUIET=True)
    for path in sorted(glob.glob(pattern, recursive=True)):
        with gzip.open(path, "rt") as file:
            structure = parser.get_structure(path, file)
        title = structure.header.get("name", "")
        for chain in next(iter(structure)):
            peptides = PPBuilder().build_peptides(chain)
            sequence = "".join(str(peptide.get_sequence()) for peptide in peptides)
            atoms = [
                [residue[name].coord if name in residue else [np.nan] * 3 for name in BACKBONE]
                for peptide in peptides
                for residue in peptide
            ]
            yield (sequence, np.array(atoms, np.float32), title) if sequence else None


BACKBONE = ("N", "CA", "C", "O")


def read_abstracts(folder: str) -> Iterator[str | None]:
    for path in sorted(Path(folder).glob("*.xml.gz")):
        with gzip.open(path) as file:
            for _, element in ElementTree.iterparse(file):
                if element.tag == "PubmedArticle":
                    parts = element.findall("MedlineCitation/Article/Abstract/AbstractText")
                    yield "\n\n".join("".join(part.itertext()) for part in parts) or None
                    element.clear()


def read_sequences(path: str) -> Iterator[tuple[str, dict[str, str]]]:
    fields = {"Organism": r" OS=(.*?)(?: [A-Z]\w=|$)", "Gene": r" GN=(\S+)"}
    with gzip.open(path, "rt") as file:
        for entry in SeqIO.parse(file, "fasta"):
            told = entry.description.partition(" ")[2]
            facts = {"Title": told.partition(" OS=")[0]}
            facts |= {k: found[1] for k, form in fields.items() if (found := re.search(form, told))}
            yield str(entry.seq), facts


READERS = {
    "qm9": read_qm9,
    "zinc20": read_smiles,
    "wwpdb": read_structures,
    "pubmed": read_abstracts,
    "uniprot": read_sequences,
}

if __name__ == "__main__":
    main()
