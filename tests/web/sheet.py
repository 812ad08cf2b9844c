"""All that the page shows, on three sheets of small pictures: light, dark, on a phone. A part of `make screenshots`."""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw
from playwright.sync_api import Browser, sync_playwright

from tests.host import hosting
from tests.web.conftest import CHROMIUM, FLAGS, people
from tests.web.furnished import ANN, RUNS, TEAM, WEB, furnish
from tests.web.openings import OPENINGS, OVER, Step, be_small
from tests.web.person import Person
from tests.web.scenes import DARK, LIGHT, PHONE, Look
from tests.web.walk import be_still

LOOKS = (LIGHT, DARK, PHONE)
COLUMNS, GAP, CAPTION, SHADES = 6, 12, 16, 256
WIDE, NARROW = 320, 160
"""Pixels of one picture on a sheet."""
TABS = ("", "/console", "/serial", "/settings", "/metrics", "/history", "/command")
PLACES = (
    *("/", "/vms", "/vms?view=wall", "/hosts", "/hosts/1", "/hosts/2", "/media", f"/groups/{TEAM}", "/users"),
    *(f"/users/{ANN}", "/tasks", "/history", "/trash", "/settings", f"/vms/{WEB}", f"/vms/{WEB}/settings"),
    *(*(f"/vms/{RUNS}{tab}" for tab in TABS), f"/window/vms/{RUNS}/console"),
    *("/vms/999", "/media/none", "/hosts/99", "/groups/99", "/users/99", "/vms?find=none", "/nowhere"),
)
EMPTY = ("/", "/vms", "/media", "/groups", "/users", "/tasks", "/history", "/trash", "/create")


@dataclass
class Sheets:
    pictures: dict[Look, list[tuple[str, Image.Image]]] = field(default_factory=lambda: {look: [] for look in LOOKS})

    def show(self, one: Person, caption: str, path: str, steps: Sequence[Step] = (), over: bool = False) -> None:
        """What is done, is done on a wide page; then it is looked at."""
        page = one.page
        one.open(path)  # anew: what was open before closes by no key where the page was made narrow meanwhile
        page.locator("#main").wait_for()
        for step in steps:
            step(page)
        if over:
            page.locator(OVER).first.wait_for()
        page.locator("[class*=skeleton], [aria-label=Loading]").first.wait_for(state="detached")
        for look in LOOKS:
            page.set_viewport_size({"width": look.width, "height": look.height})
            page.emulate_media(color_scheme="dark" if look.theme == "dark" else "light")
            be_still(page)
            shot = Image.open(io.BytesIO(page.screenshot(animations="disabled", caret="hide"))).convert("RGB")
            width = NARROW if look is PHONE else WIDE
            small = shot.resize((width, shot.height * width // shot.width), Image.Resampling.LANCZOS)
            self.pictures[look].append((caption, small))
        page.set_viewport_size({"width": LIGHT.width, "height": LIGHT.height})
        page.emulate_media(color_scheme="light")

    def save(self, into: Path) -> None:
        for look, pictures in self.pictures.items():
            width, height = pictures[0][1].size
            columns = COLUMNS * WIDE // width
            rows = -(-len(pictures) // columns)
            size = (columns * (width + GAP) + GAP, rows * (height + CAPTION + GAP) + GAP)
            sheet = Image.new("RGB", size, "#1b1d24" if look.theme == "dark" else "#d2d5dd")
            draw = ImageDraw.Draw(sheet)
            for number, (caption, picture) in enumerate(pictures):
                x = GAP + number % columns * (width + GAP)
                y = GAP + number // columns * (height + CAPTION + GAP)
                draw.text((x, y), caption[-width // 6 :], fill="#a1a7b5" if look.theme == "dark" else "#1a1d24")
                sheet.paste(picture, (x, y + CAPTION))
            reduced = sheet.quantize(SHADES, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
            reduced.save(into / f"sheet{look.suffix}.png", optimize=True)


def furnished(sheets: Sheets, browser: Browser, place: Path) -> None:
    with hosting(place / "host") as host, people(browser) as come:
        furnish(host, place)
        one = come(host.url)
        one.enter("root")
        medium = json.loads(host.ok("media", "list", "--json"))["media"][0]["mid"]
        for path in (*PLACES, f"/media/{medium}"):
            sheets.show(one, path.replace(medium, "…"), path)
        for opening in OPENINGS:
            if be_small not in opening.steps:
                sheets.show(one, opening.source.rpartition("/")[2], opening.path, opening.steps, opening.over)


def empty(sheets: Sheets, browser: Browser, place: Path) -> None:
    with hosting(place / "empty", root_password="") as host, people(browser) as come:
        one = come(host.url)
        one.enter("root", password=host.app.root_password or "")
        for path in EMPTY:
            sheets.show(one, f"{path}, nothing there", path)


def main(into: Path) -> None:
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    sheets = Sheets()
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        empty(sheets, browser, Path(place))
        furnished(sheets, browser, Path(place))
        browser.close()
    sheets.save(into)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
