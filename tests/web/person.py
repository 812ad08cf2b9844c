"""Somebody at the page: what he does there, and what he would complain about."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Page, Request, expect

from tests.api.world import PASSWORD
from tests.patience import PATIENCE

AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
COLOURS = ["color-contrast", "link-in-text-block"]
"""All that another theme can change."""
SIZES = ["target-size", "scrollable-region-focusable", "meta-viewport", "region"]
"""All that another width can change."""
FIND = """({within, rules}) => axe.run(within, {runOnly: rules, resultTypes: ["violations"]}).then(({violations}) =>
    violations.map(({id, help, nodes}) => (
    {id, help, nodes: nodes.slice(0, 3).map(({html, failureSummary: why}) => html.slice(0, 160) + " | " + why)})))"""
EXPECTED = re.compile(r"status of (401|403|404|406|409|410|503)")
"""The browser's own line for a refusal that the page handles."""
GO = "path => { history.pushState(null, '', path); dispatchEvent(new PopStateEvent('popstate')) }"
FRAME = "() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))"
KNOWN = "try { localStorage.setItem('velocity.session', 'true') } catch { /* about:blank keeps nothing */ }"
"""The page asks for a session only where somebody has signed in at it before."""
T = TypeVar("T")


class Person:
    """A page, at a server. `complaints` gathers errors of scripts, of the content policy, and requests elsewhere.

    `asked` has the method and path of each request, `unanswered` are the requests that wait for their answer (but for
    a shared worker's script, of whose end a page is not told), `loads` counts how often a document was loaded.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.loads = 0
        self.unanswered: set[Request] = set()
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._request)
        for end in ("requestfinished", "requestfailed"):
            page.on(end, self._ended)

    def _console(self, message: ConsoleMessage) -> None:
        offline = "ERR_CONNECTION" in message.text or "ERR_INCOMPLETE" in message.text or "ERR_EMPTY" in message.text
        if message.type == "error" and not EXPECTED.search(message.text) and not offline:
            self.complaints.append(message.text)

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.complaints.append(f"a request elsewhere: {request.url}")
        self.asked.append(f"{request.method} {urlsplit(request.url).path}")
        self.loads += request.is_navigation_request()
        if "/assets/worker-" not in request.url:
            self.unanswered.add(request)

    def _ended(self, request: Request) -> None:
        self.unanswered.discard(request)

    def excuse(self, words: str, times: int) -> None:
        """What a test has provoked is no complaint: so many that hold these words."""
        found = [one for one in self.complaints if words in one]
        assert len(found) == times, self.complaints
        self.complaints[:] = [one for one in self.complaints if one not in found]

    def tab(self, path: str) -> Person:
        """Another tab of the same browser. What it complains about is among this one's complaints."""
        other = Person(self.page.context.new_page(), self.url)
        other.complaints = self.complaints
        other.open(path)
        return other

    @contextmanager
    def passing_tab(self) -> Iterator[Person]:
        """One that is still empty, and is closed at the end. It may not have complained."""
        other = Person(self.page.context.new_page(), self.url)
        try:
            yield other
        finally:
            other.page.close()
        assert other.complaints == [], "the browser complained"

    def open(self, path: str) -> None:
        self.page.goto(self.url + path)

    def sign_in(self, name: str, password: str = PASSWORD) -> None:
        self.open("/")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        expect(
            self.page.get_by_role("navigation", name="Places").or_(self.page.get_by_label("Navigation"))
        ).not_to_have_count(0)

    def sign_in_again(self, password: str = PASSWORD) -> None:
        """Where one is, in the dialog that asks for it."""
        dialog = self.page.get_by_role("dialog", name="Your session has ended")
        expect(dialog.get_by_label("Password")).to_be_focused()
        dialog.get_by_label("Password").fill(password)
        dialog.get_by_role("button", name="Sign in", exact=True).click()
        expect(dialog).to_have_count(0)

    def place(self, title: str) -> None:
        """Go to a place by the navigation."""
        self.page.get_by_role("navigation", name="Places").get_by_role("link", name=title).click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text(title)

    def enter(self, name: str, path: str = "/settings", password: str = PASSWORD) -> None:
        """Come signed in, without the form."""
        asked = {"name": name, "password": password}
        answer = self.page.context.request.put(f"{self.url}/u/session", data=asked, headers={"origin": self.url})
        assert answer.ok, answer.text()
        self.page.context.add_init_script(KNOWN)
        self.open(path)
        expect(self.page.locator("#main")).to_be_attached()  # what is gone to before that, nobody hears

    def go(self, path: str) -> None:
        """Go to a place without loading the page again."""
        self.page.evaluate(GO, path)

    def settle(self) -> None:
        """Until the page has shown all that it asks for when it is shown."""
        end, quiet = time.monotonic() + PATIENCE, 0
        while quiet < 2:  # what is answered may ask for more as it is drawn
            self.page.evaluate(FRAME)
            quiet = 0 if self.unanswered else quiet + 1
            assert time.monotonic() < end, self.unanswered

    def until(self, look: Callable[[], T], seconds: float = 90) -> T:
        """What the look finds, once it finds anything: for what the page's document does not hold."""
        end = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < end, look
            self.page.wait_for_timeout(200)
        return found

    def violations(self, within: str = "html", rules: Sequence[str] = RULES) -> list[str]:
        """What axe finds on the page as it is, WCAG 2.2 A and AA. `within`: a CSS selector."""
        if not self.page.evaluate("() => 'axe' in window"):
            self.page.evaluate(AXE.read_text())
        found: list[dict[str, Any]] = self.page.evaluate(FIND, {"within": within, "rules": rules})
        return [f"{one['id']}: {one['help']}: {one['nodes']}" for one in found]
