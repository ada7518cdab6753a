"""One point of a sweep, planned in an interpreter of its own: python -m ...worker REPLY < REQUEST

A compiler's memory returns to the system with its process, simulated devices are counted once in a
process, and a compiler that crashes takes one point with it, not the sweep.
"""

import json
import resource
import sys

from biomatrix_jax.config import RunConfig, from_dict
from biomatrix_jax.errors import BadInput
from biomatrix_jax.files import atomic_file


def main(reply_path: str) -> None:
    """Reads {"config", "topology"} as JSON, writes {"plan"} or {"invalid"}, and "host_bytes": the
    most memory that this process held."""
    request = json.load(sys.stdin)
    reply = answer(request) | {"host_bytes": _peak_bytes()}
    with atomic_file(reply_path, "w") as file:
        json.dump(reply, file)


def answer(request: dict) -> dict:
    """The plan of a request as {"plan": ...}, or {"invalid": the one line that says why not}."""
    from biomatrix_jax.plan.plan import plan

    try:
        config = from_dict(RunConfig, request["config"], "the point")
        return {"plan": plan(config, request["topology"]).as_json()}
    except BadInput as error:
        return {"invalid": str(error)}


def _peak_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main(sys.argv[1])
