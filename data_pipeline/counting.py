"""Which SELFIES symbols and joint molecule tokens a corpus needs, for extending a vocabulary.

    OUT/joint.tsv      joint tokens with their occurrences, `[C 42]<TAB>123`, most frequent first
    OUT/selfies.txt    SELFIES symbols, one a line, most frequent first

which are what `biomatrix vocab extend --counts OUT/joint.tsv --selfies OUT/selfies.txt` reads. The
corpus is counted as it would be built: what a recipe leaves out is not counted.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from biomatrix_jax.display import Display
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file
from biomatrix_jax.tokens import Molecule3D, Selfies
from biomatrix_jax.tokens.counts import COVERAGE, by_frequency, covering
from data_pipeline import context
from data_pipeline import recipe as recipes
from data_pipeline.composition.compose import CHUNK
from data_pipeline.composition.views import StructureTokenizers, named_smiles, selfies_of
from data_pipeline.engine import Engine
from data_pipeline.engine.local import local
from data_pipeline.recipe import Recipe
from data_pipeline.removal.decide import Verdict
from data_pipeline.removal.judge import judged
from data_pipeline.sources.tally import Tally
from data_pipeline.tasks import FilesTask, Places, all_inputs
from data_pipeline.workplace import Crew, Progress, checksums, workplace

JOINT, SYMBOLS = "joint.tsv", "selfies.txt"


@dataclass(frozen=True)
class CountAccount:
    """What became of a CountTask."""

    fingerprint: str
    joint: dict[str, int]
    symbols: dict[str, int]
    molecules: int  # of records, and those that texts mention
    lost: dict[str, int]  # views that molecules have not, by reason


@dataclass(frozen=True)
class CountTask(FilesTask):
    """Counts the tokens of the molecules in some files of a source."""

    verdict: Verdict | None = None  # on which records to leave out

    account: ClassVar[type] = CountAccount

    @property
    def name(self) -> str:
        return f"count-{self.source_recipe.name}-{self.number:05}"

    def decided_by(self) -> Any:
        left_out = self.verdict and [self.verdict.sha256, self.verdict.reasons]
        return [self.reading(), left_out]

    def is_there(self, account: CountAccount, places: Places) -> bool:
        return True  # it is all in the account

    def do(self, places: Places, fingerprint: str) -> CountAccount:
        # The vocabulary that the recipe names need not be there yet.
        tokenizers = context.load_structure_tokenizers(self.recipe)
        tally = Tally()
        records = self.records(Tally())
        if self.verdict:
            records = self.verdict.keep(records, Tally())
        joint: Counter[str] = Counter()
        symbols: Counter[str] = Counter()
        count = 0
        molecules_only = StructureTokenizers(molecule=tokenizers.molecule)
        while chunk := list(islice(records, CHUNK)):
            structures = molecules_only.structures(chunk, tally)
            joint += count_joint_tokens(view.struct_selfies for view in structures.values())
            named = [one for record in chunk for one in named_smiles(record)]
            found = [selfies_of(smiles, identifier, tally) for identifier, smiles in named]
            symbols += count_symbols(view.selfies for view in found if view)
            count += len(named)
        return CountAccount(fingerprint, dict(joint), dict(symbols), count, dict(tally.lost))


@dataclass
class Counts:
    """Of a corpus, see CountAccount."""

    joint: Counter[str] = field(default_factory=Counter)
    symbols: Counter[str] = field(default_factory=Counter)
    molecules: int = 0
    lost: Counter[str] = field(default_factory=Counter)


def count_from_file(
    path: str | os.PathLike,
    out: str | os.PathLike,
    overrides=(),
    *,
    overwrite: bool = False,
    engine: Engine | None = None,
) -> Counts:
    """As `count`, from a recipe file or a shipped recipe's name; shows progress on standard error.

    Args:
      overrides: `key=value` changes to the recipe.
    """
    recipe = recipes.load(path, overrides)
    with Display(sys.stderr, "tasks") as display:
        counts = count(
            recipe, out, overwrite=overwrite, engine=engine, progress=display.show, say=display.line
        )
        kept = covering(counts.joint, COVERAGE)
        display.line(
            f"{counts.molecules:,} molecules: {len(counts.symbols):,} SELFIES symbols; "
            f"{len(counts.joint):,} joint tokens, of which {len(kept):,} cover more than "
            f"{COVERAGE:.0%} of {counts.joint.total():,} occurrences"
        )
        for reason, number in counts.lost.most_common():
            display.line(f"{number:,} lost: {reason}")
    return counts


def count(
    recipe: Recipe,
    out: str | os.PathLike,
    *,
    overwrite: bool = False,
    engine: Engine | None = None,
    progress: Progress = lambda stage, done, tasks: None,
    say: Callable[[str], None] = lambda line: None,
) -> Counts:
    """Counts a corpus and writes OUT.

    Raises:
      BadInput: as `build`; there is no molecule in the corpus.
    """
    groups = all_inputs(recipe)
    tokenizers = {
        kind: checksums(path) for kind, path in context.structure_tokenizer_paths(recipe).items()
    }
    with workplace(out, overwrite, say) as place:
        crew = Crew(place, engine or local(1), progress, tokenizers)
        verdicts = judged(crew, recipe, groups)
        todo = [
            CountTask(recipe, *group, verdict)
            for group, verdict in zip(groups, verdicts, strict=True)
        ]
        total = Counts()
        for account in crew.carry_out("count", todo):
            total.joint.update(account.joint)
            total.symbols.update(account.symbols)
            total.molecules += account.molecules
            total.lost.update(account.lost)
        if not total.molecules:
            raise BadInput("no source of the recipe has a molecule to count")
        place.finish(lambda directory: _write(directory, total))
    return total


def count_symbols(selfies: Iterable[str]) -> Counter[str]:
    """Occurrences of each symbol in SELFIES strings; a dot between fragments is none."""
    return Counter(part for one in selfies for part in Selfies(one).parts() if part != ".")


def count_joint_tokens(struct_selfies: Iterable[str]) -> Counter[str]:
    """Occurrences of each joint token, `[C 42]`, in structure SELFIES."""
    return Counter(part for one in struct_selfies for part in Molecule3D(one).parts())


def _write(directory: Path, counts: Counts) -> None:
    with atomic_file(directory / JOINT, "w") as file:
        file.writelines(f"{token}\t{counts.joint[token]}\n" for token in by_frequency(counts.joint))
    with atomic_file(directory / SYMBOLS, "w") as file:
        file.writelines(f"{symbol}\n" for symbol in by_frequency(counts.symbols))
