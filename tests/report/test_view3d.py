import hashlib
import re

import pytest
from markupsafe import Markup

from biomatrix_jax.report import view3d

POINT = "ATOM      1  CA  GLY A   1       1.000   2.000   3.000\n"


def view():
    return view3d.view_of(POINT, "pdb", {"cartoon": {"style": "trace"}})


def test_the_library_is_the_one_that_its_provenance_names():
    code = view3d.engine()
    start, stop = code.index("*/\n") + 3, code.index(view3d.READY)
    provenance = (view3d.LIBRARY / "PROVENANCE.md").read_text(encoding="utf-8")
    assert hashlib.sha256(code[start : stop - 1].encode()).hexdigest() in provenance


def test_the_library_comes_under_its_licence():
    head = view3d.engine()[:5000]
    assert head.startswith("/*\n")
    assert "Redistributions in binary form must reproduce the above copyright" in head
    assert "Three.js" in head


def test_a_view_shows_its_structure_in_its_element():
    script = view3d.script(view(), "chain1")
    assert 'document.getElementById("3dmolviewer_chain1")' in script
    assert '2.000   3.000\\n","pdb"' in script
    assert '"style": "trace"' in script
    assert "UNIQUEID" not in script
    assert "<" not in script


def test_views_of_one_page_share_no_name():
    names = [set(re.findall(r"viewer_\w+", view3d.script(view(), name))) for name in ("a1", "a2")]
    assert names[0]
    assert not names[0] & names[1]


def test_a_view_fetches_nothing_and_waits_for_what_the_page_says():
    """py3Dmol would load the library unless somebody has; the page says so beforehand."""
    script = view3d.script(view(), "chain1")
    assert "http" not in script
    assert "if(typeof $3Dmolpromise === 'undefined')" in script
    assert "$3Dmolpromise.then(" in script
    assert "$3Dmolpromise =" in view3d.READY


def test_the_same_view_is_the_same_script():
    assert view3d.script(view(), "a1") == view3d.script(view(), "a1")


def test_permission_is_the_digest_of_what_runs():
    # The example of the specification (Content Security Policy Level 2, 7.2.2).
    assert view3d.permission([Markup("alert('Hello, world.');")]) == (
        "'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"
    )


@pytest.mark.parametrize("text", ["x</script>", "x</SCRIPT >", "<!-- x"])
def test_a_script_that_would_end_itself_is_none(text):
    with pytest.raises(ValueError, match="would end it"):
        view3d.permission([Markup(text)])
