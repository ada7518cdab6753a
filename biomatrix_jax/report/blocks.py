"""What a page is made of. Plain data: `render` turns it into HTML, and escapes every `str` in it.

Only `Markup` goes onto the page as it is; those who make it (`chart`, the drawings of molecules)
escape what they put into it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from markupsafe import Markup


@dataclass(frozen=True)
class Headline:
    """A number worth a glance: "2.05", "loss", "from 8.31 at step 1"."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class Plot:
    """A chart with its caption.

    `narrow` is drawn for phones, where `wide` would shrink past reading; it has `legend` instead of
    labels at its lines: (name, color) pairs, colors as in `chart.Series`.
    """

    kind: ClassVar[str] = "plot"
    title: str
    wide: Markup
    caption: str = ""
    narrow: Markup | None = None
    legend: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class PlotRow:
    """Small charts beside each other."""

    kind: ClassVar[str] = "plot_row"
    plots: Sequence[Plot]


@dataclass(frozen=True)
class Table:
    """Rows under a header; columns named in `numeric` are set flush right."""

    kind: ClassVar[str] = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[str] = ()
    caption: str = ""


@dataclass(frozen=True)
class Tile:
    picture: Markup
    caption: str
    mark: str = ""  # a word or two that sets this one apart
    detail: str = ""


@dataclass(frozen=True)
class Gallery:
    """Pictures in a grid."""

    kind: ClassVar[str] = "gallery"
    tiles: Sequence[Tile]
    caption: str = ""


@dataclass(frozen=True)
class View:
    """A structure: a picture that a reader can turn where scripts run and WebGL is at hand."""

    name: str  # of its element, its own on the page; letters and digits
    png: bytes
    script: Markup  # of `view3d.script`, under that name
    caption: str
    mark: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Views:
    """Structures beside each other."""

    kind: ClassVar[str] = "views"
    views: Sequence[View]
    caption: str = ""


@dataclass(frozen=True)
class Sample:
    """Generated text: what was given, set back, and what the model went on with."""

    label: str
    given: str
    made: str
    note: str = ""


@dataclass(frozen=True)
class Samples:
    kind: ClassVar[str] = "samples"
    samples: Sequence[Sample]


@dataclass(frozen=True)
class Bar:
    name: str
    amount: float
    text: str  # the amount as shown
    detail: str = ""


@dataclass(frozen=True)
class Bars:
    """Named amounts as bars, in order."""

    kind: ClassVar[str] = "bars"
    bars: Sequence[Bar]
    caption: str = ""

    @property
    def largest(self) -> float:
        return max((bar.amount for bar in self.bars), default=0) or 1


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    kind: ClassVar[str] = "facts"
    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Code:
    """Lines as they are typed or stored; folded away behind `summary` where there is one."""

    kind: ClassVar[str] = "code"
    text: str
    summary: str = ""


@dataclass(frozen=True)
class Note:
    """A paragraph."""

    kind: ClassVar[str] = "note"
    text: str


Block = Plot | PlotRow | Table | Gallery | Views | Samples | Bars | Facts | Code | Note


@dataclass(frozen=True)
class Section:
    title: str
    blocks: Sequence[Block]
    lead: str = ""


@dataclass(frozen=True)
class Page:
    title: str
    subtitle: str
    headlines: Sequence[Headline]
    sections: Sequence[Section]
    footer: str = ""
