"""What a data directory holds: checked, counted, and some of it decoded back to segments."""

import dataclasses
import itertools
import json
import os
from collections.abc import Sequence
from pathlib import Path

from biomatrix_jax.data import manifest as manifests
from biomatrix_jax.data.manifest import Manifest
from biomatrix_jax.data.reader import RowSource
from biomatrix_jax.tokens import MODALITIES, Segment, Vocabulary

_WIDTH = 100  # characters of a line of text
_DOCUMENTS = 4  # of a row in the text; JSON has them all


def inspect(directory: str | os.PathLike, *, rows: int = 2, as_json: bool = False) -> str:
    """Reads every byte, compares it with the manifest, and tells what is there.

    Args:
      rows: how many rows of each source to decode, from its first on.
      as_json: one JSON object instead of text for people.

    Raises:
      BadInput: no complete data directory, or one whose files differ from the manifest: the first
        difference is named.
    """
    directory = Path(directory)
    manifest = manifests.read(directory, checksums=True)
    summary = summarize(manifest)
    samples = decode_rows(directory, manifest, rows)
    if as_json:
        return json.dumps({"directory": str(directory), **summary, "samples": samples}, indent=1)
    return "\n".join([*_statistics(directory, manifest, summary), *_samples(samples)])


def summarize(manifest: Manifest) -> dict:
    """The manifest's counts with totals and fill, as plain data."""
    sources = [
        dataclasses.asdict(source)
        | {
            "total_tokens": source.total_tokens,
            "fill": source.total_tokens / (source.rows * manifest.row_length),
        }
        for source in manifest.sources
    ]
    return {
        "schema_version": manifest.schema_version,
        "row_length": manifest.row_length,
        "vocabulary_size": manifest.vocabulary.size,
        "seed": manifest.seed,
        "shards": len(manifest.shards),
        "bytes": sum(shard.bytes for shard in manifest.shards),
        "rows": manifest.rows,
        "documents": sum(source.documents for source in manifest.sources),
        "tokens": {
            name: sum(source.tokens.get(name, 0) for source in manifest.sources)
            for name in MODALITIES
        },
        "total_tokens": sum(source.total_tokens for source in manifest.sources),
        "fill": manifest.fill,
        "sources": sources,
        "versions": manifest.versions,
    }


def decode_rows(directory: Path, manifest: Manifest, rows: int) -> list[dict]:
    """The first rows of each source as documents of segments, with what did not read back."""
    vocabulary = Vocabulary.from_pretrained(directory / manifests.TOKENIZER)
    samples = []
    for source in manifest.sources:
        for number, row in enumerate(
            itertools.islice(RowSource(directory, manifest, source.name), rows)
        ):
            ends = row.lengths.cumsum().tolist()
            documents = [
                _document(vocabulary, row.tokens[start:end])
                for start, end in itertools.pairwise([0, *ends])
            ]
            samples.append({"source": source.name, "row": number, "documents": documents})
    return samples


def _document(vocabulary: Vocabulary, ids) -> dict:
    parsed = vocabulary.parse(ids)
    return {
        "tokens": len(ids),
        "segments": [
            {"modality": segment.modality, "content": _content(segment)}
            for segment in parsed.segments
        ],
        "problems": [problem.message for problem in parsed.problems],
    }


def _content(segment: Segment):
    (field,) = dataclasses.fields(segment)  # each kind of segment holds one value
    return getattr(segment, field.name)


def _statistics(directory: Path, manifest: Manifest, summary: dict) -> list[str]:
    present = [name for name, count in summary["tokens"].items() if count]
    columns = ["source", "records", "dropped", "documents", "rows", "fill", "tokens", *present]
    everything = {
        "name": "all",
        "records": sum(source.records for source in manifest.sources),
        "dropped": {"": sum(sum(source.dropped.values()) for source in manifest.sources)},
        **{key: summary[key] for key in ("documents", "rows", "fill", "total_tokens", "tokens")},
    }
    table = [
        [
            source["name"],
            source["records"],
            sum(source["dropped"].values()),
            source["documents"],
            source["rows"],
            f"{source['fill']:.2%}",
            source["total_tokens"],
            *(source["tokens"].get(name, 0) for name in present),
        ]
        for source in (*summary["sources"], everything)
    ]
    reasons = [
        f"  {source.name}, {what}: {count:,}, {reason} (first: {source.examples[reason]})"
        for source in manifest.sources
        for what, counts in (
            ("records dropped", source.dropped),
            ("views lost", source.lost),
            ("instances rejected", source.rejected),
        )
        for reason, count in counts.items()
    ]
    return [
        f"{directory}: {manifest.rows:,} rows of {manifest.row_length:,} tokens in "
        f"{len(manifest.shards)} shards, {summary['bytes'] / 1e6:,.1f} MB; "
        f"vocabulary of {manifest.vocabulary.size:,}; every checksum matches",
        "",
        *_aligned([columns, *table]),
        *(["", "left out:", *reasons] if reasons else []),
    ]


def _aligned(table: Sequence[Sequence]) -> list[str]:
    """Lines of a table: the first column to the left, numbers to the right."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in line] for line in table]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    ]


def _samples(samples: list[dict]) -> list[str]:
    lines = []
    for sample in samples:
        documents = sample["documents"]
        lines += ["", f"{sample['source']}, row {sample['row']}: {len(documents)} documents"]
        for document in documents[:_DOCUMENTS]:
            lines.append(f"  document of {document['tokens']:,} tokens")
            for segment in document["segments"]:
                lines.append(f"    {segment['modality']}: {_shortened(segment['content'])}")
            lines += [f"    ! {problem}" for problem in document["problems"]]
        if len(documents) > _DOCUMENTS:
            lines.append(f"  ... and {len(documents) - _DOCUMENTS} more")
    return lines


def _shortened(content) -> str:
    text = str(content).replace("\n", "\\n")
    return text if len(text) <= _WIDTH else text[: _WIDTH - 4] + " ..."
