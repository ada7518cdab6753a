"""What the backward pass keeps of a layer's forward pass, and what it computes again.

Roughly from the most memory to the least (in brackets the numbers of the compute type kept of a
token and layer, for N heads, K kv heads, H head dim, D embed, F feed-forward):

    none             everything, the softmax's inputs too
    dots             products with weights [2 D + (N + 2 K) H + 2 F]; attention is computed again
    minimal          products with weights and attention's output and log-sum-exp [D + 2 (N + K) H +
                     2 F]: only what is elementwise is computed again
    offload          what minimal keeps, in the host's memory
    attention_saved  attention's output and log-sum-exp [N H]: no kernel's forward pass runs twice
    full             nothing: the whole layer is computed again

All of them keep a layer's input.
"""

from collections.abc import Callable

import jax

from biomatrix_jax.config import Remat
from biomatrix_jax.model.attention.contract import SAVED

PRODUCT = "product"  # the name of what a product with a weight gives and the backward pass needs

_policies = jax.checkpoint_policies
_POLICIES = {
    "dots": _policies.dots_with_no_batch_dims_saveable,
    "minimal": _policies.save_only_these_names(PRODUCT, SAVED),
    "offload": _policies.save_and_offload_only_these_names(
        names_which_can_be_saved=[],
        names_which_can_be_offloaded=[PRODUCT, SAVED],
        offload_src="device",
        offload_dst="pinned_host",
    ),
    "attention_saved": _policies.save_only_these_names(SAVED),
    "full": _policies.nothing_saveable,
}


def rematerialised(body: Callable, remat: Remat) -> Callable:
    """`body`, the body of a `lax.scan` over layers, with the policy of that name."""
    if remat == "none":
        return body
    # Inside a scan nothing can merge the second computation with the first.
    return jax.checkpoint(body, policy=_POLICIES[remat], prevent_cse=False)
