"""Which SELFIES symbols and joint molecule tokens a corpus needs, for extending a vocabulary."""

from collections import Counter
from collections.abc import Iterable

from biomatrix_jax.tokens import Molecule3D, Selfies


def count_symbols(selfies: Iterable[str]) -> Counter[str]:
    """Occurrences of each symbol in SELFIES strings; a dot between fragments is none."""
    return Counter(part for one in selfies for part in Selfies(one).parts() if part != ".")


def count_joint_tokens(struct_selfies: Iterable[str]) -> Counter[str]:
    """Occurrences of each joint token, `[C 42]`, in structure SELFIES."""
    return Counter(part for one in struct_selfies for part in Molecule3D(one).parts())
