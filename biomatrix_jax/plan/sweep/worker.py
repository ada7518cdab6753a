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
from biomatrix_jax.plan.plan import plan
from biomatrix_jax.plan.topology import find_devices


def main(reply_path: str) -> None:
    """Reads a request as JSON, writes its answer and "host_bytes", the most memory it took here."""
    reply = answer(json.load(sys.stdin)) | {"host_bytes": _peak_bytes()}
    with atomic_file(reply_path, "w") as file:
        json.dump(reply, file)


def answer(request: dict) -> dict:
    """What a request asks for, or {"invalid": the one line that says why that cannot be had}.

    {"topology", "config"} gets {"plan": `Plan.as_json()`}; {"topology"} alone gets what it is here:
    {"devices", "slices", "kind"}.
    """
    try:
        if "config" not in request:
            return _describe(request["topology"])
        config = from_dict(RunConfig, request["config"], "the point")
        return {"plan": plan(config, request["topology"]).as_json()}
    except BadInput as error:
        return {"invalid": str(error)}


def _describe(topology: str) -> dict:
    devices = find_devices(topology)
    slices = {getattr(device, "slice_index", 0) for device in devices}
    return {"devices": len(devices), "slices": len(slices), "kind": devices[0].device_kind}


def _peak_bytes() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main(sys.argv[1])
