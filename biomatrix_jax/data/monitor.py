"""What a run has drawn of each source and modality, beside what its mixture asks for."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from biomatrix_jax.data.manifest import Manifest
from biomatrix_jax.data.mixture import Stage
from biomatrix_jax.tokens.segments import MODALITIES

Amounts = Mapping[str, float]


def tokens_of(rows: Mapping[str, np.ndarray], sources: int) -> np.ndarray:
    """int32 [sources, modalities]: the tokens of a batch or a part of one, padding not counted.

    Args:
      rows: as `rows.collate` makes them; a row's documents are of one source.
    """
    tokens = np.zeros((sources, len(MODALITIES)), np.int32)
    np.add.at(tokens, rows["source"][:, 0], rows["modality_tokens"])
    return tokens


class Monitor:
    """Adds up the tokens of a run, step by step."""

    def __init__(self, manifest: Manifest):
        self._names = [source.name for source in manifest.sources]
        # Of a source's tokens, the part of each modality.
        self._parts = {
            source.name: {m: n / source.total_tokens for m, n in source.tokens.items()}
            for source in manifest.sources
            if source.total_tokens
        }
        self._sources, self._modalities = Account(), Account()

    def resume(self, line: Mapping[str, Any]) -> None:
        """Goes on from what `add` gave; from 0 where `line` does not have it."""
        self._sources = Account(line.get("drawn_by_source", {}))
        self._modalities = Account(line.get("drawn_by_modality", {}))

    def add(self, tokens: np.ndarray, stage: Stage) -> dict[str, dict]:
        """Counts a step.

        Args:
          tokens: its `tokens_of`, of all processes together.
          stage: the mixture that its batch was drawn by.

        Returns:
          `tokens_by_source` and `tokens_by_modality`, {name: tokens of this step}, and
          `drawn_by_source` and `drawn_by_modality`, {name: [tokens of all steps so far, tokens
          that the mixture asked for]}. The weights of sources are taken for shares of the tokens;
          what they ask for of a modality follows from what the manifest says the sources hold.
        """
        total = int(tokens.sum())
        asked = {name: total * share for name, share in stage.shares.items() if share}
        asked_modalities = Counter()
        for name, amount in asked.items():
            for modality, part in self._parts.get(name, {}).items():
                asked_modalities[modality] += amount * part
        by_source = _there(self._names, tokens.sum(axis=1))
        by_modality = _there(MODALITIES, tokens.sum(axis=0))
        return {
            "tokens_by_source": by_source,
            "tokens_by_modality": by_modality,
            "drawn_by_source": self._sources.add(by_source, asked),
            "drawn_by_modality": self._modalities.add(by_modality, asked_modalities),
        }


class Account:
    """{name: [tokens drawn, tokens asked for]} so far."""

    def __init__(self, content: Mapping[str, list[float]] | None = None):
        self._content = {name: list(pair) for name, pair in (content or {}).items()}

    def add(self, drawn: Amounts, asked: Amounts) -> dict[str, list[float]]:
        """The account with these added."""
        for name in dict.fromkeys((*asked, *drawn)):
            pair = self._content.setdefault(name, [0, 0.0])
            pair[0] += drawn.get(name, 0)
            # Rounded as it is written, so that a resumed run adds to the very same number.
            pair[1] = round(pair[1] + asked.get(name, 0), 1)
        return {name: list(pair) for name, pair in self._content.items() if any(pair)}


def _there(names, amounts: np.ndarray) -> dict[str, int]:
    return {name: int(n) for name, n in zip(names, amounts, strict=True) if n}
