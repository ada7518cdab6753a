"""From prompts to segments: what `biomatrix generate` runs, and the same for Python."""

import dataclasses
import itertools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from biomatrix_jax.errors import BadInput
from biomatrix_jax.generate.sampler import sample
from biomatrix_jax.model import Decoder
from biomatrix_jax.tokens import Problem, Segment, Text, Vocabulary


@dataclass(frozen=True)
class Start:
    """The start token of a segment whose content is to be generated. `modality` is one of the five
    that have control tokens (text has none)."""

    modality: str


# Text, in which control tokens may be spelled; or what a document begins with, where a Start can
# only come last.
Prompt = str | Start | Sequence[Segment | Start]


@dataclass(frozen=True)
class Generation:
    """One row, the prompt included.

    Attributes:
      ids: int32 [n], prompt and continuation, with the token that ended it.
      prompt_length: how many of them are the prompt's.
      segments: what they hold.
      problems: what is malformed in them, by position in `ids`; empty when all is well.
      prompt: the prompt's ids as they are spelled, control tokens included.
      text: all ids so, without the end-of-document token.
      finished: ended by itself rather than by the limit of tokens.
    """

    ids: np.ndarray
    prompt_length: int
    segments: list[Segment]
    problems: list[Problem]
    prompt: str
    text: str
    finished: bool

    def to_json(self) -> str:
        """`text`, `segments` (modality and content), `problems` and `finished` as one line."""
        return json.dumps(
            {
                "text": self.text,
                "segments": [
                    {"modality": segment.modality, **dataclasses.asdict(segment)}
                    for segment in self.segments
                ],
                "problems": [dataclasses.asdict(problem) for problem in self.problems],
                "finished": self.finished,
            }
        )


def generate(
    model: Decoder,
    vocabulary: Vocabulary,
    prompts: Sequence[Prompt],
    *,
    max_new_tokens: int = 256,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    batch_rows: int = 32,
    on_rows: Callable[[int], None] | None = None,
) -> list[Generation]:
    """Continues every prompt to the end of its document, or of the segment that `Start` opened.

    Arguments that are not prompts are those of `sampler.sample`.

    Raises:
      BadInput: a prompt that is empty, cannot be written with the vocabulary or is too long for
        the model; a parameter out of its range; a vocabulary larger than the model's.
    """
    rows = [_encode(vocabulary, prompt) for prompt in prompts]
    sampled = sample(
        model,
        [ids for ids, _ in rows],
        stop=[stop for _, stop in rows],
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
        vocab_size=vocabulary.size,
        batch_rows=batch_rows,
        on_rows=on_rows,
    )
    return [
        _read(vocabulary, prompt, new.tokens, new.stopped)
        for (prompt, _), new in zip(rows, sampled, strict=True)
    ]


def run(
    checkpoint: str | os.PathLike,
    *,
    prompt: str | None,
    start: str | None,
    count: int,
    temperature: float,
    top_p: float,
    max_tokens: int,
    seed: int,
    as_json: bool,
    revision: str | None = None,
) -> Iterator[str]:
    """`biomatrix generate`: `count` continuations of a text, or segments of one modality.

    Yields:
      Each generation's text, or its JSON object on one line.

    Raises:
      BadInput: not exactly one of `prompt` and `start`, weights that give no finite logits, or as
        `generate`.
    """
    from tqdm import tqdm

    from biomatrix_jax.convert.hub import resolve
    from biomatrix_jax.convert.load import load
    from biomatrix_jax.convert.source import open_source

    if (prompt is None) == (start is None):
        raise BadInput("give either --prompt or --start, one of them")
    path = resolve(checkpoint, revision)  # once: a branch on the Hub may move
    vocabulary = Vocabulary.from_pretrained(open_source(path).files)
    one = prompt if start is None else Start(start)
    _encode(vocabulary, one)  # a bad prompt is known before the weights are read
    with tqdm(total=count, unit="row", disable=None, leave=False) as bar:
        try:
            generations = generate(
                load(path),
                vocabulary,
                [one] * count,
                max_new_tokens=max_tokens,
                temperature=temperature,
                top_p=top_p,
                seed=seed,
                on_rows=bar.update,
            )
        except FloatingPointError as error:
            raise BadInput(f"{checkpoint}: {error}: use an earlier step or another model") from None
    for generation in generations:
        yield generation.to_json() if as_json else generation.text


def _encode(vocabulary: Vocabulary, prompt: Prompt) -> tuple[np.ndarray, tuple[int, ...]]:
    """The ids of a prompt, and those that end its continuation."""
    if isinstance(prompt, str):
        return vocabulary.encode([Text(prompt)], allow_special=True), vocabulary.eos_ids
    parts = [prompt] if isinstance(prompt, Start) else list(prompt)
    if not (parts and isinstance(parts[-1], Start)):
        return vocabulary.encode(parts), vocabulary.eos_ids
    modality = parts.pop().modality
    start, end = vocabulary.start_id(modality), vocabulary.end_id(modality)
    ids = np.append(vocabulary.encode(parts), start).astype(np.int32)
    return ids, (*vocabulary.eos_ids, end)


def _read(vocabulary: Vocabulary, prompt, new, stopped: bool) -> Generation:
    ids = np.concatenate([prompt, new]).astype(np.int32)
    parsed = vocabulary.parse(ids)
    shown = ids[:-1] if stopped and ids[-1] in vocabulary.eos_ids else ids
    return Generation(
        ids=ids,
        prompt_length=len(prompt),
        segments=parsed.segments,
        problems=parsed.problems,
        prompt=_spell(vocabulary, prompt),
        text=_spell(vocabulary, shown),
        finished=stopped,
    )


def _spell(vocabulary: Vocabulary, ids: np.ndarray) -> str:
    """The text that these ids stand for, whatever their order: control tokens as they are spelled,
    and what lies between them read as text."""
    spelled = []
    for special, group in itertools.groupby(ids.tolist(), lambda i: bool(vocabulary.is_special(i))):
        if special:
            spelled.extend(map(vocabulary.token, group))
        else:
            spelled.extend(segment.body() for segment in vocabulary.decode(list(group)))
    return "".join(spelled)
