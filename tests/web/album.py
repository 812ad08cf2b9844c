"""Pictures of the page, small enough for a repository."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

COLOURS = 192
"""Of one picture: flat surfaces and a few shades of text need no more. That no colour of a small dot is lost, they are
chosen by how far they lie apart."""


def save(page: Page, file: Path) -> None:
    """What is seen of the page, as a PNG with a palette."""
    page.mouse.move(0, 0)
    page.evaluate("document.fonts.ready")
    shot = page.screenshot(animations="disabled", caret="hide")
    with Image.open(io.BytesIO(shot)) as picture:
        reduced = picture.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    file.parent.mkdir(parents=True, exist_ok=True)
    reduced.save(file, optimize=True)
