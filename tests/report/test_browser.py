"""What a browser makes of 3D views: needs Chromium, and is skipped without one."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from biomatrix_jax.report.blocks import Page, Section, View, Views
from biomatrix_jax.report.png import encode
from biomatrix_jax.report.render import write
from biomatrix_jax.report.view3d import script, view_of

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND"
SOFTWARE_WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BROWSER, reason="no Chromium here"),
]

POINTS = "".join(
    f"ATOM  {n:5d}  CA  GLY A{n:4d}    {3.8 * n:8.3f}{0:8.3f}{0:8.3f}\n" for n in range(1, 9)
)


@pytest.fixture
def page(tmp_path):
    style = {"cartoon": {"style": "trace"}}
    pixel = encode(np.full((1, 1, 4), 255, np.uint8))
    shown = [
        View(name, pixel, script(view_of(POINTS, "pdb", style), name), "a line")
        for name in ("line1", "line2")
    ]
    path = tmp_path / "page.html"
    write(Page("t", "s", [], [Section("Views", [Views(shown)])]), path)
    return path


def opened(page, *options) -> str:
    """The page as it stands after its scripts, as HTML."""
    command = [BROWSER, "--headless=new", "--no-sandbox", NO_NETWORK, *options]
    command += [f"--user-data-dir={page.parent / 'profile'}", "--virtual-time-budget=10000"]
    done = subprocess.run(
        [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_views_come_alive_without_a_network(page):
    body = opened(page, *SOFTWARE_WEBGL).partition("<script>")[0]
    assert re.findall(r'<div id="3dmolviewer_(\w+)"><canvas', body) == ["line1", "line2"]


def test_without_webgl_the_pictures_stay(page):
    body = opened(page, "--disable-gpu", "--disable-3d-apis").partition("<script>")[0]
    assert "<canvas" not in body
    assert body.count('<img alt="a line" src="data:image/png') == 2
