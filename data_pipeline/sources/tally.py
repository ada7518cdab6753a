"""Counting, so that nothing is lost in silence: records in = records out + dropped by reason."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts of one pass over a corpus, filled in while its records are drawn.

    `lost` counts parts of records that did go on, such as a molecule's 3D view that could not be
    made. `first` names the first record behind each reason for `dropped` or `lost`.
    """

    records_in: int = 0
    records_out: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def begin(self) -> None:
        """One more record was found; `keep` or `drop` must follow."""
        self.records_in += 1

    def keep(self) -> None:
        self.records_out += 1

    def drop(self, reason: str, record: str) -> None:
        self.dropped[reason] += 1
        self.first.setdefault(reason, record)

    def lose(self, reason: str, record: str) -> None:
        self.lost[reason] += 1
        self.first.setdefault(reason, record)

    @property
    def balanced(self) -> bool:
        """Whether every record that began was kept or dropped."""
        return self.records_in == self.records_out + self.dropped.total()

    def __str__(self) -> str:
        counts = [f"{self.records_in} in", f"{self.records_out} out"]
        for word, counter in (("dropped", self.dropped), ("lost", self.lost)):
            counts += [
                f"{number} {word}: {reason} (first {self.first[reason]})"
                for reason, number in counter.most_common()
            ]
        return "; ".join(counts)
