"""Numbers as people read them."""


def count(n: float) -> str:
    """1,234; 57.3 k; 1.23 M; 4.1 G."""
    # Rounded first, so that 999,600 is 1 M and not 1e+03 k.
    rounded = float(f"{n:.3g}") if n >= 1e4 else n
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if rounded >= size:
            return f"{rounded / (1e3 if unit == 'k' else size):.3g} {unit}"
    return f"{n:,.0f}"


def percent(part: float, whole: float) -> str:
    """97.5%; a dash where there is no whole. 100% and 0% are exactly that."""
    if not whole:
        return "-"
    value = 100 * part / whole
    if 0 < part < whole:
        value = min(max(value, 0.1), 99.9)
    return f"{value:.1f}".removesuffix(".0") + "%"


def duration(seconds: float) -> str:
    """0.4 s; 12 s; 3 min 5 s; 2 h 10 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
