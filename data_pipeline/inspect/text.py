"""What `inspect` found, as lines for people."""

from collections.abc import Sequence

from data_pipeline.inspect.settings import settings

_WIDTH = 100  # characters of a line of a document
_DOCUMENTS = 4  # of a row, and
_INPUTS = 4  # of a source; JSON has all


def told(found: dict) -> list[str]:
    """The lines: what was built, counts by source, how and of what, what was left out, samples."""
    parts = [_whole(found), _counts(found), _shards(found), settings(found), _inputs(found)]
    parts.append(_left_out(found))
    parts += [_sample(sample) for sample in found["samples"]]
    return [line for part in parts if part for line in ("", *part)][1:]


def _whole(found: dict) -> list[str]:
    rows, documents = found["tiers"]["rows"], found["tiers"]["documents"]
    kept = (
        f"documents: {documents['records']:,} records in {documents['shards']:,} shards, "
        f"{documents['bytes'] / 1e6:,.1f} MB"
        if documents["shards"]
        else "documents: none kept, so no rows of another length can be made"
    )
    structures = ", ".join(found["structure_tokenizers"]) or "none"
    return [
        f"{found['directory']}: {found['rows']:,} rows of {found['row_length']:,} tokens, "
        f"{found['fill']:.2%} filled, in {rows['shards']:,} shards, {rows['bytes'] / 1e6:,.1f} MB",
        kept,
        f"vocabulary of {found['vocabulary_size']:,}; structure tokenizers: {structures}; "
        f"seed {found['seed']}; packing {found['packing']['algorithm']}",
        "every checksum matches",
    ]


def _counts(found: dict) -> list[str]:
    present = [name for name, count in found["tokens"].items() if count]
    columns = ["source", "records", "dropped", "documents", "cut", "rows", "fill", "tokens"]
    return _aligned(
        [
            [*columns, *present],
            *(
                [
                    source["name"],
                    source["records"],
                    sum(source["dropped"].values()),
                    source["documents"],
                    source["cut"],
                    source["rows"],
                    f"{source['fill']:.2%}",
                    source["total_tokens"],
                    *(source["tokens"][name] for name in present),
                ]
                for source in (*found["sources"], _all(found))
            ),
        ]
    )


def _all(found: dict) -> dict:
    """The last line of the table."""
    sources = found["sources"]
    return found | {
        "name": "all",
        "dropped": {s["name"]: sum(s["dropped"].values()) for s in sources},
        "cut": sum(source["cut"] for source in sources),
    }


def _shards(found: dict) -> list[str]:
    lines = [["source", "row shards", "least filled", "MB", "document shards", "records", "MB"]]
    for source in found["sources"]:
        rows, documents = source["tiers"]["rows"], source["tiers"]["documents"]
        least = min(s["fill"] for s in found["shards"] if s["source"] == source["name"])
        lines.append(
            [
                source["name"],
                rows["shards"],
                f"{least:.2%}",
                f"{rows['bytes'] / 1e6:,.1f}",
                documents["shards"],
                documents["records"],
                f"{documents['bytes'] / 1e6:,.1f}",
            ]
        )
    return _aligned(lines)


def _inputs(found: dict) -> list[str]:
    lines = []
    for source in found["sources"]:
        for what, files in (("", source["inputs"]), (", beside", source["beside"])):
            lines += [f"  {source['name']}{what}: {line}" for line in _files(files)]
    return ["inputs:", *lines] if lines else []


def _files(groups: Sequence[dict]) -> list[str]:
    lines = []
    for one in groups[:_INPUTS]:
        more = f" and {one['files'] - 1:,} more" if one["files"] > 1 else ""
        lines.append(f"{one['first']}{more}, {one['bytes']:,} bytes, SHA-256 {one['sha256']}")
    if len(groups) > _INPUTS:
        lines.append(f"... and {sum(one['files'] for one in groups[_INPUTS:]):,} more files")
    return lines


def _left_out(found: dict) -> list[str]:
    reasons = [
        f"  {source['name']}, {what}: {count:,}, {reason} (first: {source['examples'][reason]})"
        for source in found["sources"]
        for what, key in (
            ("records dropped", "dropped"),
            ("views lost", "lost"),
            ("instances rejected", "rejected"),
        )
        for reason, count in source[key].items()
    ]
    return ["left out:", *reasons] if reasons else []


def _sample(sample: dict) -> list[str]:
    documents = sample["documents"]
    lines = [f"{sample['source']}, row {sample['row']}: {len(documents)} documents"]
    for document in documents[:_DOCUMENTS]:
        lines.append(f"  document of {document['tokens']:,} tokens")
        for segment in document["segments"]:
            lines.append(f"    {segment['modality']}: {_shortened(segment['content'])}")
        lines += [f"    ! {problem}" for problem in document["problems"]]
    if len(documents) > _DOCUMENTS:
        lines.append(f"  ... and {len(documents) - _DOCUMENTS} more")
    return lines


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


def _shortened(content) -> str:
    text = str(content).replace("\n", "\\n")
    return text if len(text) <= _WIDTH else text[: _WIDTH - 4] + " ..."
