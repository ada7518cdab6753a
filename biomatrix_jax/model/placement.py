"""How the devices of a mesh share the tokens and the output head of a loss."""

from typing import NamedTuple

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from biomatrix_jax.errors import BadInput


class Placement(NamedTuple):
    """Where what the loss reads lies on a mesh.

    Raises, where it is used, BadInput: the head's D is split over axes that split no tokens.
    """

    hidden: NamedSharding  # [B, T, D]
    head: NamedSharding  # [V, D]


class Across(NamedTuple):
    """What a device exchanges with others: mesh axes by what they split; all empty on one device.

    An axis that splits V splits no tokens here, even where it does outside: all devices along it
    see the same tokens.
    """

    mesh: Mesh | None = None
    batch: tuple[str, ...] = ()
    length: tuple[str, ...] = ()
    vocab: tuple[str, ...] = ()
    embed: tuple[str, ...] = ()

    @classmethod
    def of(cls, placement: Placement | None) -> "Across":
        if placement is None:
            return cls()
        vocab, embed = _axes(placement.head, 0), _axes(placement.head, 1)
        batch, length = (
            tuple(a for a in _axes(placement.hidden, i) if a not in vocab) for i in (0, 1)
        )
        if idle := set(embed) - set(batch + length):
            raise BadInput(
                f"the output head is split over the mesh axes {', '.join(sorted(idle))}, which "
                "split no tokens: let rules.batch or rules.length use them, or rules.embed not"
            )
        return cls(placement.head.mesh, batch, length, vocab, embed)

    @property
    def specs(self) -> tuple[PartitionSpec, PartitionSpec, PartitionSpec]:
        """Of hidden states, head and what is [B, T]."""
        tokens = PartitionSpec(self.batch, self.length)
        return PartitionSpec(*tokens, None), PartitionSpec(self.vocab, self.embed), tokens

    def map(self, function, in_specs, out_specs):
        if self.mesh is None:
            return function
        return jax.shard_map(
            function, mesh=self.mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False
        )

    def gather(self, x_vd):
        return jax.lax.all_gather(x_vd, self.embed, axis=1, tiled=True) if self.embed else x_vd

    def reduce(self, x_vd):
        """Summed over all tokens, of which a device keeps what `gather` had from it."""
        if self.embed:
            x_vd = jax.lax.psum_scatter(x_vd, self.embed, scatter_dimension=1, tiled=True)
        rest = tuple(a for a in self.batch + self.length if a not in self.embed)
        return jax.lax.psum(x_vd, rest) if rest else x_vd


def _axes(lies: NamedSharding, dimension: int) -> tuple[str, ...]:
    """Those of more than one device."""
    axes = lies.spec[dimension] if dimension < len(lies.spec) else None
    axes = (axes,) if isinstance(axes, str) else axes or ()
    return tuple(axis for axis in axes if lies.mesh.shape[axis] > 1)
