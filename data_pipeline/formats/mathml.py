"""MathML on one line, as one writes formulas in running text: `(x_i^2)/(2n)`."""

from xml.etree.ElementTree import Element

# Presentation elements of two or three parts, by what stands between these.
_SCRIPTS = {
    "msub": "_",
    "msup": "^",
    "munder": "_",
    "mover": "^",
    "msubsup": "_^",
    "munderover": "_^",
    "mfrac": "/",
}

_INVISIBLE = dict.fromkeys(range(0x2061, 0x2065))  # times, plus, application of a function


def linear(element: Element) -> str:
    """A `math` element, or a part of one, as text; "" where there is none.

    Scripts follow `_` and `^`, fractions have a slash, and what is longer than one sign is put in
    parentheses there; rows of a table end in `;`. TeX that is given as an annotation wins.
    https://www.w3.org/TR/MathML3/chapter3.html
    """
    for annotation in element.iter("annotation"):
        if "tex" in annotation.get("encoding", "").lower() and annotation.text:
            return " ".join(annotation.text.split())
    return " ".join(_linear(element).split())


def _linear(element: Element) -> str:
    tag = element.tag
    if tag in ("annotation", "annotation-xml"):
        return ""
    if tag in ("mspace", "mtr", "mtd") and not len(element) and not element.text:
        return " "
    parts = [_linear(child) for child in element]
    if tag in _SCRIPTS and len(parts) == len(_SCRIPTS[tag]) + 1:
        line = _group(parts[0])
        for sign, part in zip(_SCRIPTS[tag], parts[1:], strict=True):
            line += sign + _group(part) if part.strip() else ""
        return line
    if tag == "msqrt":
        return f"\u221a({''.join(parts)})"
    if tag == "mroot" and len(parts) == 2:
        return f"{_group(parts[0])}^(1/{_group(parts[1])})"
    if tag == "mfenced":
        sign = (element.get("separators", ",").strip() or " ")[0]
        return element.get("open", "(") + sign.join(parts) + element.get("close", ")")
    if tag == "mtable":
        return "; ".join(parts)
    if tag == "mtr":
        return ", ".join(parts)
    return (element.text or "").strip().translate(_INVISIBLE) + "".join(parts)


def _group(part: str) -> str:
    part = part.strip()
    plain = part.replace(".", "").isalnum() or len(part) < 2
    return part if plain or (part[0], part[-1]) == ("(", ")") else f"({part})"
