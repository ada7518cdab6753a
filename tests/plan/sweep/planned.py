"""Points of a sweep with plans made up, for tests of what is said of them."""

from biomatrix_jax.config import load
from biomatrix_jax.plan.sweep.grid import Axis, points
from biomatrix_jax.plan.sweep.outcome import Outcome, outcome

MESHES = ({"fsdp": 8}, {"fsdp": 4, "tensor": 2})
AXES = (
    Axis("mesh", MESHES),
    Axis("compute.remat", ("full", "minimal")),
    Axis("train.accumulate", (1, 2)),
)


def plan(peak=30e9, seconds=2.0, limit=100e9, mesh=None, **changes):
    """`Plan.as_json()` of a step on eight devices; a fifth of its time the network is busy."""
    return {
        "topology": "v5p:2x2x2",
        "devices": 8,
        "mesh": {"slice": 1, "data": 1, "fsdp": 8, "context": 1, "tensor": 1} | (mesh or {}),
        "argument_bytes": int(peak / 3),
        "temp_bytes": int(2 * peak / 3),
        "peak_bytes": int(peak),
        "fits": peak <= limit if limit else None,
        "limit_bytes": limit and int(limit),
        "flops": 1e15,
        "hbm_bytes": 1e12,
        "collectives": [
            {
                "kind": "all-gather",
                "axes": ["fsdp"],
                "wire_bytes": 3e9,
                "seconds": 0.1 * (seconds or 0),
            },
            {
                "kind": "all-reduce",
                "axes": ["tensor"],
                "wire_bytes": 1e9,
                "seconds": 0.1 * (seconds or 0),
            },
        ],
        "estimated_step_seconds": seconds,
        "estimated_mfu": 0.5 / seconds if seconds else None,
        "compile_seconds": 9.5,
    } | changes


def planned(answer, axes=AXES) -> list[Outcome]:
    """The outcome of each point, from `answer(settings) -> reply`."""
    found = []
    for point in points(axes):
        run = load("tiny", point.overrides)
        found.append(outcome(point, run, answer(dict(point.settings))))
    return found


def usual(settings):
    """Tensor parallelism is slower, keeping more is faster but larger; one point is invalid."""
    tensor = settings["mesh"].get("tensor", 1)
    minimal = settings["compute.remat"] == "minimal"
    if tensor == 2 and minimal and settings["train.accumulate"] == 1:
        return {"invalid": "this <point> does not divide"}
    peak = (20 + 100 * minimal / settings["train.accumulate"]) * 1e9
    seconds = (2.0 - 0.5 * minimal) * tensor
    return {"plan": plan(peak, seconds, mesh=settings["mesh"])}
