"""Pictures as PNG files (ISO/IEC 15948), eight bits a channel."""

import base64
import struct
import zlib

import numpy as np
from markupsafe import Markup

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGBA, _SUB = 6, 1  # a color type; a filter: each byte less the one of the pixel to its left


def encode(rgba: np.ndarray) -> bytes:
    """uint8 [height, width, 4], row 0 uppermost, as the bytes of a PNG file."""
    height, width, _ = rgba.shape
    left = np.zeros_like(rgba)
    left[:, 1:] = rgba[:, :-1]
    lines = (rgba - left).reshape(height, 4 * width)  # modulo 256, as the format has it
    filtered = np.concatenate([np.full((height, 1), _SUB, np.uint8), lines], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, _RGBA, 0, 0, 0)
    data = zlib.compress(filtered.tobytes(), 9)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def data_uri(png: bytes) -> Markup:
    """The file as an address that holds it."""
    return Markup("data:image/png;base64," + base64.b64encode(png).decode())


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
