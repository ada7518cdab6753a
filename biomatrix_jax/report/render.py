"""A page as HTML: one file, nothing loaded from anywhere, no scripts but those of its 3D views."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from biomatrix_jax.files import atomic_file
from biomatrix_jax.report import view3d
from biomatrix_jax.report.blocks import Page, View, Views
from biomatrix_jax.report.png import data_uri

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
    environment.filters["data_uri"] = data_uri
    style = Markup("\n".join((FOLDER / name).read_text(encoding="utf-8") for name in STYLES))
    scripts = _scripts(views(page))
    permissions = f"; img-src data:; script-src {view3d.permission(scripts)}" if scripts else ""
    return environment.get_template("page.html.jinja").render(
        page=page,
        style=style,
        element=view3d.ELEMENT,
        scripts=scripts,
        permissions=Markup(permissions),
    )


def views(page: Page) -> list[View]:
    """All of a page, in order."""
    blocks = (block for section in page.sections for block in section.blocks)
    return [view for block in blocks if isinstance(block, Views) for view in block.views]


def _scripts(shown: list[View]) -> list[Markup]:
    return [view3d.engine(), *(view.script for view in shown)] if shown else []


def write(page: Page, path: Path) -> None:
    """Writes the page, atomically, over what `path` held before."""
    with atomic_file(path, "w") as file:
        file.write(render(page))
