"""Which SELFIES symbols and joint molecule tokens a corpus needs, for extending a vocabulary."""

from collections import Counter
from collections.abc import Iterable

from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import Molecule3D, Selfies


def by_frequency(counts: Counter[str]) -> list[str]:
    """Most frequent first; equals in the order of their spelling, so that ids are reproducible."""
    return sorted(counts, key=lambda token: (-counts[token], token))


def covering(counts: Counter[str], coverage: float) -> list[str]:
    """The shortest prefix, most frequent first, with more than `coverage` of all occurrences.

    The rule of the original for its joint vocabulary, with 0.99 there; 1 keeps every token.
    """
    if not 0 < coverage <= 1:
        raise BadInput(f"coverage must be above 0 and at most 1, not {coverage}")
    kept, covered, total = [], 0, counts.total()
    for token in by_frequency(counts):
        if covered > coverage * total:
            break
        kept.append(token)
        covered += counts[token]
    return kept


def count_symbols(selfies: Iterable[str]) -> Counter[str]:
    """Occurrences of each symbol in SELFIES strings; a dot between fragments is none."""
    return Counter(part for one in selfies for part in Selfies(one).parts() if part != ".")


def count_joint_tokens(struct_selfies: Iterable[str]) -> Counter[str]:
    """Occurrences of each joint token, `[C 42]`, in structure SELFIES."""
    return Counter(part for one in struct_selfies for part in Molecule3D(one).parts())
