"""What every judgement of a generation begins with."""

from biomatrix_jax.generate import Generation
from biomatrix_jax.tokens import Segment


class Unusable(ValueError):
    """Why a generation is not what was asked for, in a few words without its particulars."""


def sole_segment(generation: Generation) -> Segment:
    """The one segment of a generation from a lone start token.

    Raises:
      Unusable: there is a parse problem (a segment that ran into the limit of tokens has one), or
        not exactly one segment.
    """
    if generation.problems:
        raise Unusable(generation.problems[0].kind.replace("_", " "))
    if len(generation.segments) != 1:
        raise Unusable("not one segment")
    return generation.segments[0]
