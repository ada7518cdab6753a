import base64
import io

import numpy as np
import pytest
from PIL import Image

from biomatrix_jax.report import png


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (40, 300)])
def test_another_reader_sees_the_same_pixels(shape):
    rgba = np.random.default_rng(0).integers(0, 256, (*shape, 4), np.uint8)
    image = Image.open(io.BytesIO(png.encode(rgba)))
    image.load()  # compares the checksums
    assert (image.format, image.mode) == ("PNG", "RGBA")
    assert np.array_equal(np.asarray(image), rgba)


def test_what_changes_slowly_is_small():
    ramp = np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (256, 1, 4))
    assert len(png.encode(ramp)) < 2000


def test_an_address_holds_the_file():
    head, data = png.data_uri(b"\x89PNG").split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == b"\x89PNG"
