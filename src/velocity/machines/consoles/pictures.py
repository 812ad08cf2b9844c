"""Pictures of screens: encodes, scales and prepares them for reading. Called in threads.

Pillow is imported with the first picture, not at the server's start.
"""

from __future__ import annotations

import io

SMALL = 1600
"""Pixels of width below which letters are too small to be read, and the picture is doubled."""


def encoded(pixels: bytes) -> tuple[int, int, bytes]:
    """Width, height and PNG of a PPM."""
    from PIL import Image

    with Image.open(io.BytesIO(pixels), formats=["PPM"]) as picture:
        out = io.BytesIO()
        picture.save(out, "PNG", compress_level=3)
        return picture.width, picture.height, out.getvalue()


def scaled(png: bytes, width: int) -> bytes:
    """A PNG of this width."""
    from PIL import Image

    with Image.open(io.BytesIO(png), formats=["PNG"]) as opened:
        picture = opened.convert("RGB")
    height = max(1, round(picture.height * width / picture.width))
    out = io.BytesIO()
    picture.resize((width, height), Image.Resampling.LANCZOS).save(out, "PNG", compress_level=3)
    return out.getvalue()


def prepared(png: bytes) -> bytes:
    """Dark letters on a light ground, large enough: what tesseract reads best."""
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(png), formats=["PNG"]) as opened:
        picture = opened.convert("L")
    if picture.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0)) < 128:  # type: ignore[operator]
        picture = ImageOps.invert(picture)
    if picture.width < SMALL:
        picture = picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "PPM")
    return out.getvalue()
