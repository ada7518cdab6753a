"""Which of the token families a tokenizer holds, from its list of added tokens."""

from pathlib import Path
from typing import Any

from biomatrix_jax.errors import BadInput
from biomatrix_jax.tokens import families


def find_special(added: dict[int, Any]) -> list[int]:
    """The ids that open, close or steer something: control tokens, and the base's special ones.

    `added`: id -> `tokenizers.AddedToken`. A checkpoint may flag all tokens that it added as
    special; residues, SELFIES and codes are content all the same.
    """
    chosen = []
    for token_id, token in added.items():
        family = families.family_of(token.content)
        if family == families.CONTROL or (token.special and family is None):
            chosen.append(token_id)
    return chosen


def find_families(path: Path, added: dict[int, Any]) -> dict[str, dict[str, int]]:
    """family -> spelling -> id, in the order that `Vocabulary.families` documents.

    `added`: id -> `tokenizers.AddedToken`; `path` is for messages.

    Raises:
      BadInput: a family with missing members, or whose tokens take in their surroundings.
    """
    found: dict[str, dict[str, int]] = {}
    for token_id, token in sorted(added.items()):
        if family := families.family_of(token.content):
            found.setdefault(family, {})[token.content] = token_id
            if token.lstrip or token.rstrip or token.single_word:
                raise BadInput(
                    f"{path}: {token.content!r} swallows its surroundings (lstrip, rstrip or "
                    "single_word): text beside it could not be read back"
                )
    for family, members in found.items():
        expected = families.expected_members(family, len(members))
        if missing := [spelling for spelling in expected if spelling not in members]:
            shown = " ".join(missing[:10]) + (" ..." if len(missing) > 10 else "")
            raise BadInput(
                f"{path}: the token family {family!r} lacks {len(missing)} of its tokens: {shown}"
            )
        if expected:
            found[family] = {spelling: members[spelling] for spelling in expected}
    return {family: found[family] for family in families.FAMILIES if family in found}
