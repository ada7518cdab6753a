"""Records -> instances: lists of typed segments, each of which becomes one document.

Stochastic composition: a record gives an instance per view that stands alone (a SMILES, a SELFIES,
a conformer, a sequence), so that a start token by itself suffices to ask for one, and a composite
in which each field appears with its probability, in an order of its own. What is drawn is a pure
function of the record's id and the seed: not of the other records, nor of their order, nor of what
else the record has.
"""

from data_pipeline.composition.compose import compose
from data_pipeline.composition.settings import Composition
from data_pipeline.composition.views import Instance

__all__ = ["Composition", "Instance", "compose"]
