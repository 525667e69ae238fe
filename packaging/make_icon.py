"""Draws packaging/px.ico: two arrows through a doorway, at the sizes that Windows shows.

The pixels are computed, so that the icon is a text that can be reviewed; nothing but the standard library is
needed.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

SIZES = (16, 24, 32, 48, 64, 256)
#: Each pixel is the mean of so many by so many points.
SAMPLES = 4

_BLUE = (0x29, 0x62, 0xA8)
_WHITE = (0xFF, 0xFF, 0xFF)


def is_inside(x: float, y: float) -> bool:
    """Whether a point of the unit square is in the rounded plate."""
    radius, inset = 0.2, 0.03
    near_x = min(max(x, inset + radius), 1 - inset - radius)
    near_y = min(max(y, inset + radius), 1 - inset - radius)
    return (x - near_x) ** 2 + (y - near_y) ** 2 <= radius**2


def is_mark(x: float, y: float) -> bool:
    """Whether a point is in one of the arrows: to the right above, to the left below."""
    return _is_arrow(x, y - 0.34) or _is_arrow(1 - x, y - 0.66)


def _is_arrow(x: float, y: float) -> bool:
    is_shaft = 0.18 <= x <= 0.62 and abs(y) <= 0.06
    is_head = 0.56 <= x <= 0.84 and abs(y) <= 0.16 * (0.84 - x) / 0.28
    return is_shaft or is_head


def pixel(column: int, row: int, size: int) -> bytes:
    """Return red, green, blue and alpha of a pixel."""
    steps = [(step + 0.5) / SAMPLES for step in range(SAMPLES)]
    points = [((column + dx) / size, (row + dy) / size) for dx in steps for dy in steps]
    inside = [point for point in points if is_inside(*point)]
    if not inside:
        return bytes(4)
    marked = sum(is_mark(*point) for point in inside) / len(inside)
    colour = [round(blue + (white - blue) * marked) for blue, white in zip(_BLUE, _WHITE, strict=True)]
    return bytes((*colour, round(255 * len(inside) / len(points))))


def png(size: int) -> bytes:
    """Return the icon as a PNG (ISO/IEC 15948)."""
    rows = b"".join(
        b"\0" + b"".join(pixel(column, row, size) for column in range(size)) for row in range(size)
    )
    head = struct.pack(">IIBBBBB", size, size, 8, 6, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def ico(sizes: tuple[int, ...] = SIZES) -> bytes:
    """Return all sizes as one Windows icon: a directory, then a PNG each."""
    images = [png(size) for size in sizes]
    directory, offset = struct.pack("<HHH", 0, 1, len(images)), 6 + 16 * len(images)
    for size, image in zip(sizes, images, strict=True):
        directory += struct.pack("<BBBBHHII", size % 256, size % 256, 0, 0, 1, 32, len(image), offset)
        offset += len(image)
    return directory + b"".join(images)


if __name__ == "__main__":
    path = Path(__file__).with_name("px.ico")
    path.write_bytes(ico())
    print(f"wrote {path}")
