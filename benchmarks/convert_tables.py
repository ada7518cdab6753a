"""The results of benchmarks/convert.py as Markdown."""

CP = "cp"
OURS = "biomatrix-jax"


def of_candidates(result: dict) -> list[str]:
    """One model, all candidates."""
    if "not_measured" in result:
        return [f"{result['config']}: not measured: {result['not_measured']}"]
    model, bound = result["model"], result["bound_bytes"]
    lines = [
        f"{result['config']}: {model['bytes'] / 1e9:.2f} GB in {model['dtype']}, "
        f"{model['tensors']} tensors; median seconds and highest peak of {result['repeats']}",
        "",
        f"| | | s | / cp | s, on disk | / cp | peak MB (bound: {_mb(bound)}) |",
        "|---|---|---|---|---|---|---|",
    ]
    for direction, measured in result["measured"].items():
        for name, m in measured.items():
            lines.append(
                f"| {direction} | {name} | {m['seconds']:.2f} | {m['seconds_by_cp']:.2f} | "
                f"{m['seconds_on_disk']:.2f} | {m['seconds_on_disk_by_cp']:.2f} | "
                f"{'' if name == CP else _mb(m['above_interpreter_bytes'])} |"
            )
    lines.append("")
    for direction, measured in result["measured"].items():
        peak, ratio = measured[OURS]["above_interpreter_bytes"], measured[OURS]["seconds_by_cp"]
        lines.append(
            f"{direction}: memory {_word(peak <= bound)} ({_mb(peak)} of {_mb(bound)} MB), "
            f"time {_word(ratio <= 2)} ({ratio:.2f} of 2 times cp)"
        )
    lines += [f"{name} failed: {reason}" for name, reason in result["failed"].items()]
    lines += [
        f"convert verify, model and {other}: equal bit for bit, {run['seconds']:.1f} s"
        for other, run in result["verified_bit_for_bit"].items()
    ]
    return lines + _loaded(result)


def of_models(results: list[dict]) -> list[str]:
    """Several models, ours alone."""
    columns = ("model", "GB", "largest tensor, MB", "allowed, MB", "from-hf peak, MB")
    columns += ("to-hf peak, MB", "bound", "from-hf, s", "to-hf, s")
    rows = [_row(columns), _row("---" for _ in columns)]
    for result in results:
        model = result["model"]
        cells = [result["config"], f"{model['bytes'] / 1e9:.2f}", _mb(model["largest"]["bytes"])]
        if "not_measured" in result:
            cells += [f"not measured: {result['not_measured']}"]
            cells += [""] * (len(columns) - len(cells))
        else:
            ours = [measured[OURS] for measured in result["measured"].values()]
            peaks = [m["above_interpreter_bytes"] for m in ours]
            cells += map(_mb, (result["bound_bytes"], *peaks))
            cells += [_word(max(peaks) <= result["bound_bytes"])]
            cells += [f"{m['seconds']:.1f}" for m in ours]
        rows.append(_row(cells))
    return rows + [line for result in results for line in _loaded(result)]


def _loaded(result: dict) -> list[str]:
    if "load" not in result:
        return []
    load = result["load"]
    return [
        f"{result['config']}: bm.load over 8 simulated devices {load['seconds']:.1f} s, peak "
        f"{_mb(load['above_parameters_bytes'])} MB above interpreter and parameters"
    ]


def _row(cells) -> str:
    return f"| {' | '.join(cells)} |"


def _word(held: bool) -> str:
    return "pass" if held else "FAIL"


def _mb(size: float) -> str:
    return f"{size / 1e6:,.0f}"
