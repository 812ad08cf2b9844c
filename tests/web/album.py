"""Pictures of the page, small enough for a repository."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

COLOURS = 256
"""Of one picture. Those that most of it has stay what they are: a surface with another tint is another design."""


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
    """The same in few colours: the commonest ones, each pixel of another one in the nearest of them."""
    counted = Counter(picture.getdata()).most_common(COLOURS)
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for colour, _ in counted for part in colour])
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)
