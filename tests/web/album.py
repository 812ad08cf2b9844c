"""Pictures of the page, small enough for a repository."""

from __future__ import annotations

import io
from pathlib import Path
from typing import cast

from PIL import Image
from playwright.sync_api import Page

COMMON, SPREAD = 160, 96
"""Colours of one picture: the commonest ones, since a surface with another tint is another design, and some that lie
far apart, since a small dot has a colour as well."""


def save(page: Page, file: Path) -> None:
    """What is seen of the page, as a PNG with a palette."""
    page.mouse.move(0, 0)
    page.evaluate("document.fonts.ready")
    shot = page.screenshot(animations="disabled", caret="hide")
    with Image.open(io.BytesIO(shot)) as picture:
        reduced = with_palette(picture.convert("RGB"))
    file.parent.mkdir(parents=True, exist_ok=True)
    reduced.save(file, optimize=True)


def with_palette(picture: Image.Image) -> Image.Image:
    """The same in few colours: the commonest ones as they are, each other one as one that is near."""
    counted = sorted(picture.getcolors(picture.width * picture.height) or [], reverse=True)[:COMMON]
    kept = [part for _, colour in counted for part in cast(tuple[int, int, int], colour)]
    spread = picture.quantize(SPREAD, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette(kept + spread[: 3 * SPREAD])
    near = picture.quantize(palette=palette, dither=Image.Dither.NONE)  # which takes the commonest ones for others, too
    exact = {bytes(kept[at : at + 3]): at // 3 for at in range(0, len(kept), 3)}
    data = picture.tobytes()
    pixels = (data[at : at + 3] for at in range(0, len(data), 3))
    near.putdata([exact.get(pixel, other) for pixel, other in zip(pixels, near.tobytes(), strict=True)])
    return near
