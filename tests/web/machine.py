"""Somebody at the page of one machine: its buttons, its screen and its terminal."""

from __future__ import annotations

import base64
import io
import os
import re
import subprocess

from PIL import Image, ImageOps, ImageStat
from playwright.sync_api import Locator, expect

from tests.web.person import Person

SECONDS = 300
"""For what a guest under software emulation does, on a busy machine."""

PIXELS = "canvas => canvas.width && canvas.toDataURL('image/png')"


class MachinePage:
    def __init__(self, person: Person, name: str) -> None:
        self.person = person
        self.page = person.page
        self.name = name
        self._read = Image.new("RGB", (1, 1)), ""

    def tab(self, title: str) -> None:
        self.page.get_by_role("navigation", name=f"Of {self.name}").get_by_role("link", name=title, exact=True).click()

    def press(self, button: str) -> None:
        self.page.get_by_role("button", name=button, exact=True).click()

    def more(self, item: str) -> None:
        """Choose an item of the menu."""
        self.page.get_by_role("button", name=f"More that can be done with {self.name}").click()
        self.page.get_by_role("menuitem", name=item).click()

    def is_shown_as(self, state: str, seconds: float = SECONDS) -> None:
        """Such as "Running", in the page's head."""
        head = self.page.locator(".v-head")
        expect(head.get_by_role("heading", level=1)).to_have_text(self.name)
        expect(head.get_by_text(state, exact=True)).to_be_visible(timeout=seconds * 1000)

    @property
    def canvas(self) -> Locator:
        return self.page.get_by_role("application", name=re.compile("^Screen "))

    def picture(self) -> Image.Image:
        """The pixels that noVNC has drawn, once it is connected. RGB."""
        url = self.person.until(lambda: self.canvas.evaluate(PIXELS))
        return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")

    def read(self) -> str:
        """The text on them, which is read anew when they have changed."""
        picture = self.picture()
        if picture != self._read[0]:
            self._read = picture, read(picture)
        return self._read[1]

    def is_painted(self, colour: str) -> None:
        """The guest has painted its whole screen, which `paint` made it do: "red", "green" or "blue"."""
        channel = ("red", "green", "blue").index(colour)

        def painted() -> bool:
            mean = ImageStat.Stat(self.picture()).mean
            return mean[channel] > 150 and sum(mean) - mean[channel] < 15

        self.person.until(painted)

    def paint(self, colour: str) -> None:
        """By a line in the terminal: ECMA-48's background colour, and a clear screen."""
        self.type(f"printf '\\033[4{1 + ('red', 'green', 'yellow', 'blue').index(colour)}m\\033[2J' >/dev/tty0")

    @property
    def terminal(self) -> Locator:
        return self.page.get_by_role("region", name=f"Serial console of {self.name}")

    def boots(self) -> None:
        """Its guest says that it is ready, and its shell waits."""
        ready = re.compile(r"GUEST READY.*# ")
        expect(self.terminal.get_by_role("list")).to_contain_text(ready, timeout=SECONDS * 1000)

    def type(self, line: str) -> None:
        """A line into the terminal."""
        self.terminal.click()
        self.page.keyboard.type(f"{line}\n")

    def says(self, text: str, seconds: float = SECONDS) -> None:
        """What stands in the terminal, soon."""
        expect(self.terminal.get_by_role("list")).to_contain_text(text, timeout=seconds * 1000)


def read(picture: Image.Image) -> str:
    """The text on a picture, by `tesseract` on one core: on two, most of what it takes is waiting for each other."""
    grey = ImageOps.invert(picture.convert("L"))
    written = ImageOps.invert(grey).getbbox() or (0, 0, 1, 1)
    clear = ImageOps.expand(grey.crop(written), 20, 255)  # letters at the edge are read badly
    png = io.BytesIO()
    clear.resize((clear.width * 3, clear.height * 3)).save(png, "PNG")
    command = ["tesseract", "stdin", "stdout", "--psm", "6"]
    done = subprocess.run(
        command, input=png.getvalue(), capture_output=True, check=True, env=os.environ | {"OMP_THREAD_LIMIT": "1"}
    )
    return done.stdout.decode()
