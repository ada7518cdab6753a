from biomatrix_jax.report.mixture import mixture

NAMES = {"text": "text", "smiles": "SMILES"}


def line(step, sources, modalities):
    return {"step": step, "drawn_by_source": sources, "drawn_by_modality": modalities}


LINES = [
    line(
        1,
        {"zinc": [300, 250.0], "pubmed": [100, 150.0]},
        {"text": [100, 100.0], "smiles": [300, 300.0]},
    ),
    line(
        2,
        {"zinc": [500, 500.0], "pubmed": [300, 300.0]},
        {"text": [200, 400.0], "smiles": [600, 400.0]},
    ),
    # Another mixture, with one more source and without another.
    line(
        3,
        {"zinc": [500, 500.0], "pubmed": [600, 500.0], "nci": [1300, 1400.0]},
        {"text": [600, 600.0], "smiles": [1800, 1800.0]},
    ),
]


def test_so_far_and_lately():
    sources, modalities = mixture(LINES, 1, NAMES).blocks
    assert sources.rows == [
        ("zinc", "500", "20.8%", "20.8%", "0%", "0%"),
        ("pubmed", "600", "25%", "20.8%", "18.8%", "12.5%"),
        ("nci", "1,300", "54.2%", "58.3%", "81.2%", "87.5%"),
    ]
    assert modalities.rows == [
        ("text", "600", "25%", "25%", "25%", "12.5%"),
        ("SMILES", "1,800", "75%", "75%", "75%", "87.5%"),
    ]
    assert modalities.caption == "Lately: in the last 1 step."
    assert len(sources.columns) == 6


def test_of_a_run_so_short_that_all_of_it_was_lately():
    sources, _ = mixture(LINES[:1], 1, NAMES).blocks
    assert sources.rows == [
        ("zinc", "300", "75%", "62.5%", "75%", "62.5%"),
        ("pubmed", "100", "25%", "37.5%", "25%", "37.5%"),
    ]
