"""A page as HTML: one file, nothing loaded from anywhere, no scripts."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from biomatrix_jax.files import atomic_file
from biomatrix_jax.report.blocks import Page

FOLDER = Path(__file__).parent
STYLES = ("colors.css", "page.css", "chart.css")


def render(page: Page) -> str:
    """The page's HTML. Every text is escaped, except what is `Markup`."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = Markup("\n".join((FOLDER / name).read_text(encoding="utf-8") for name in STYLES))
    return environment.get_template("page.html.jinja").render(page=page, style=style)


def write(page: Page, path: Path) -> None:
    """Writes the page, atomically, over what `path` held before."""
    with atomic_file(path, "w") as file:
        file.write(render(page))
