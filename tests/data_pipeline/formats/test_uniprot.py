"""What is left out of UniProtKB's comments, and how broken lines become one again."""

import pytest

from data_pipeline.formats.uniprot import prose
from data_pipeline.formats.uniprot_flat import unwrapped


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (["calcium-", "    transporting"], "calcium-transporting"),
        (["pre-", "and post-"], "pre- and post-"),
        (["pre-", "or post-"], "pre- or post-"),
        (["pre-", "android"], "pre-android"),
        (["this -", "that"], "this - that"),
        (["one", "two"], "one two"),
        ([], ""),
    ],
)
def test_lines_are_put_together_as_they_were_broken(lines, line):
    assert unwrapped(lines) == line


@pytest.mark.parametrize(
    ("comment", "text"),
    [
        ("Binds (PubMed:1). {ECO:0000269|PubMed:1}.", "Binds."),
        ("Binds (PubMed:1, PubMed:2) and acts (PubMed:3).", "Binds and acts."),
        ("Binds (PubMed:1; Ref.2, DOI:10.1/x) it", "Binds it."),
        ("Binds (see PubMed:1) it.", "Binds (see PubMed:1) it."),
        ("Binds it (Potential).", "Binds it."),
        ("Sets {1} (Probable and other).", "Sets {1} (Probable and other)."),
        ("Optimum pH is 8.0. {ECO:0000269|PubMed:1};", "Optimum pH is 8.0."),
        ("Waits ... and ends.", "Waits ... and ends."),
        ("Is it?", "Is it?"),
        ("{ECO:0000305}.", ""),
    ],
)  # fmt: skip
def test_what_is_left_out_of_prose(comment, text):
    assert prose(comment).strip(".") == text.strip(".")
    assert text == "" or prose(comment) == text
