"""What a manifest says, as plain data, with totals."""

import dataclasses
from collections.abc import Iterable, Sequence

from biomatrix_jax.data.manifest import DocumentsEntry, Manifest, ShardEntry, SourceEntry
from biomatrix_jax.tokens import MODALITIES


def summarize(manifest: Manifest) -> dict:
    """The manifest's counts with totals and fill, the part of row positions that hold a token."""
    tokens = _by_modality(source.tokens for source in manifest.sources)
    return {
        "schema_version": manifest.schema_version,
        "row_length": manifest.row_length,
        "dtype": manifest.dtype,
        "seed": manifest.seed,
        "recipe": manifest.recipe,
        "evaluation_sets": manifest.evaluation_sets,
        "code": manifest.code,
        "documents_by": manifest.documents_by and dataclasses.asdict(manifest.documents_by),
        "packing": dataclasses.asdict(manifest.packing),
        "vocabulary_size": manifest.vocabulary.size,
        "tokenizer": manifest.vocabulary.files,
        "structure_tokenizers": manifest.structure_tokenizers,
        "versions": manifest.versions,
        "records": sum(source.records for source in manifest.sources),
        "documents": sum(source.documents for source in manifest.sources),
        "rows": manifest.rows,
        "fill": manifest.fill,
        "tokens": tokens,
        "total_tokens": sum(tokens.values()),
        "tiers": {"rows": _tier(manifest.shards), "documents": _tier(manifest.documents)},
        "sources": [_source(source, manifest) for source in manifest.sources],
        "shards": [
            dataclasses.asdict(shard)
            | {"fill": sum(shard.tokens.values()) / (shard.rows * manifest.row_length)}
            for shard in manifest.shards
        ],
        "document_shards": [
            dataclasses.asdict(shard) | {"total_tokens": sum(shard.record_tokens)}
            for shard in manifest.documents
        ],
    }


def _source(source: SourceEntry, manifest: Manifest) -> dict:
    shards = [shard for shard in manifest.shards if shard.source == source.name]
    documents = [shard for shard in manifest.documents if shard.source == source.name]
    return dataclasses.asdict(source) | {
        "tokens": _by_modality([source.tokens]),
        "total_tokens": source.total_tokens,
        "fill": source.total_tokens / (source.rows * manifest.row_length),
        "tiers": {"rows": _tier(shards), "documents": _tier(documents)},
    }


def _tier(shards: Sequence[ShardEntry | DocumentsEntry]) -> dict:
    return {
        "shards": len(shards),
        "records": sum(s.rows if isinstance(s, ShardEntry) else s.records for s in shards),
        "bytes": sum(shard.bytes for shard in shards),
    }


def _by_modality(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    counts = list(counts)
    return {name: sum(count.get(name, 0) for count in counts) for name in MODALITIES}
