"""All that opens over a page, and the wizard: axe in both themes, Tab inside, Escape, and where the focus is then."""

from __future__ import annotations

from collections import Counter

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.web.openings import OPENINGS, OVER, Opening, named, sources
from tests.web.person import COLOURS, Person
from tests.web.walk import be_still, walk

pytestmark = pytest.mark.xdist_group("dialogs")  # they share a page

NOWHERE = "Page not found"
NAMES = [f"{index} {one.source}" for index, one in enumerate(OPENINGS)]


def test_each_dialog_in_the_sources_is_in_the_table() -> None:
    listed = Counter(one.source for one in OPENINGS)
    assert {source for source, number in sources().items() if listed[source] < number} == set()
    assert listed.keys() - sources().keys() == set()


def cut(page: Page, over: Locator) -> list[str]:
    """What the window cuts off of it."""
    box, window = over.bounding_box(), page.viewport_size
    assert box and window
    ends = box["x"] + box["width"] - window["width"], box["y"] + box["height"] - window["height"]
    return [] if min(box["x"], box["y"]) >= 0 and max(ends) <= 0 else [f"{box} is not within {window}"]


CLIPPED = """one => [...one.querySelectorAll("*")]
    .filter(it => it.scrollWidth > it.clientWidth + 1).map(it => it.innerText)"""
"""Texts that have no room."""


@pytest.mark.holds("PAGE-77")
@pytest.mark.parametrize(
    ("source", "width"), [("app/Me", 1024), ("pages/vm/console/ConsoleBar", 390), ("pages/people/Held", 375)]
)
def test_a_menu_is_whole_where_there_is_little_room(somebody: Person, source: str, width: int) -> None:
    page, before = somebody.page, somebody.page.viewport_size
    assert before
    (opening, *_) = (one for one in OPENINGS if one.source == source)
    page.set_viewport_size({"width": width, "height": 844})
    somebody.open(opening.path)
    for step in opening.steps:
        step(page)
    over = page.locator(OVER)
    expect(over).to_have_count(1)
    be_still(page)
    assert cut(page, over) == []
    assert over.locator("ul").first.evaluate(CLIPPED) == []
    page.keyboard.press("Escape")
    page.set_viewport_size(before)


@pytest.mark.holds("PAGE-2", "PAGE-77")
@pytest.mark.whole
@pytest.mark.parametrize("opening", OPENINGS, ids=NAMES)
def test_what_opens(somebody: Person, opening: Opening, whole: bool) -> None:
    """The short form leaves the page behind it to `test_every_page`."""
    page = somebody.page
    somebody.go("/nowhere")  # the page that costs least
    title = page.get_by_role("heading", level=1)
    expect(title).to_have_text(NOWHERE)
    somebody.go(opening.path)
    expect(title).not_to_have_text(NOWHERE)
    for step in opening.steps:
        step(page)
    over = page.locator(OVER)
    expect(over).to_have_count(1 if opening.over else 0)
    expect(page.locator("[class*=skeleton], [aria-label=Loading]")).to_have_count(0)
    be_still(page)
    within = OVER if opening.over else "main"
    wrong = somebody.violations("html" if whole else within)
    page.emulate_media(color_scheme="dark")
    wrong += [f"in the dark: {told}" for told in somebody.violations(within, COLOURS)]
    page.emulate_media(color_scheme="light")
    if opening.over:
        wrong += cut(page, over)
    if page.locator(".pf-v6-c-modal-box").count() > 0:
        wrong += walk(page, page.locator(".pf-v6-c-modal-box"))[1]
    if opening.back:
        page.keyboard.press("Escape")
        expect(over).to_have_count(0)
        expect(named(page, opening.back)).to_be_focused()
    assert not wrong, "\n".join(wrong)
