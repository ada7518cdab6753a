"""Structures that a reader can turn: py3Dmol views whose 3Dmol.js lies in the page itself.

py3Dmol turns Python calls into those of 3Dmol.js, and a page of its own would fetch that library
when it is opened. Here the page holds the library once, and says so under the name by which py3Dmol
looks for it (`$3Dmolpromise`); its views then fetch nothing.
"""

import base64
import gzip
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

import biomatrix_jax

if TYPE_CHECKING:
    import py3Dmol

LIBRARY = Path(biomatrix_jax.__file__).parent / "assets/3dmol"
ELEMENT = "3dmolviewer_"  # what py3Dmol puts before a view's name to find its element

# Where there is no WebGL the promise is never kept, and the pictures stay. A wheel turned over a
# view goes on scrolling the page, as it would beside it, unless the Ctrl key is down.
READY = """
$3Dmolpromise = document.createElement("canvas").getContext("webgl2")
  ? Promise.resolve() : new Promise(() => {});
for (const place of document.querySelectorAll(".view"))
  place.addEventListener("wheel", event => {
    if (!event.ctrlKey) event.stopPropagation();
  }, {capture: true});
"""


def view_of(text: str, kind: str, style: dict) -> "py3Dmol.view":
    """A view without a ground of its own.

    Args:
      text, kind: a structure, and the format it is in: "sdf", "pdb".
      style: as 3Dmol.js has it.
    """
    import py3Dmol

    view = py3Dmol.view(width="100%", height="100%", js="")
    view.setBackgroundColor("white", 0)
    view.addModel(text, kind)
    view.setStyle(style)
    view.zoomTo()
    return view


def script(view: "py3Dmol.view", name: str) -> Markup:
    """JavaScript that builds the view in the element `ELEMENT` + name; letters and digits only."""
    html = view.write_html()
    body = html[html.index("<script>") + len("<script>") : html.rindex("</script>")]
    return Markup(body.replace(view.uniqueid, name))


def engine() -> Markup:
    """What comes before the views of a page: the library under its licence, and `READY`."""
    licence = (LIBRARY / "LICENSE").read_text(encoding="utf-8")
    code = gzip.decompress((LIBRARY / "3Dmol-min.js.gz").read_bytes()).decode("utf-8")
    return Markup(f"/*\n{licence}*/\n{code}\n{READY}")


def permission(scripts: list[Markup]) -> str:
    """The source expression by which a Content-Security-Policy lets exactly these scripts run.

    Raises:
      ValueError: one would end its own element, so that a browser read another text than this.
    """
    for one in scripts:
        if "</script" in one.lower() or "<!--" in one:
            raise ValueError("a script holds </script or <!--, which would end it")
    digests = (hashlib.sha256(one.encode()).digest() for one in scripts)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
