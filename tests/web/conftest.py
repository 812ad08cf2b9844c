"""A real browser, and the page over a real HTTP server."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.host import Host, hosting
from tests.patience import PATIENCE
from tests.web.elsewhere import Elsewhere, elsewhere_served
from tests.web.furnished import furnish
from tests.web.person import Person

log = logging.getLogger(__name__)
CHROMIUM = "/usr/bin/chromium-headless-shell"
PLAIN = "velocity.test"
"""A name of this machine that gives a page over HTTP no secure context, as an address in a LAN. RFC 6761"""
FLAGS = [
    "--no-sandbox",  # as root, and in a container, it has none
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    f"--host-resolver-rules=MAP {PLAIN} 127.0.0.1",
]

NewPerson = Callable[..., Person]

expect.set_options(timeout=PATIENCE * 1000)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The system's Chromium. For this package only: its loop must not run beside other tests' loops."""
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def person(browser: Browser) -> Iterator[NewPerson]:
    with people(browser) as come:
        yield come


@contextmanager
def people(browser: Browser) -> Iterator[NewPerson]:
    """Somebody at a browser of his own. At the end nothing may have been logged that a page should not say."""
    all_: list[Person] = []
    with ExitStack() as opened:

        def come(
            url: str, *, theme: str = "light", width: int = 1280, height: int = 800, **context_options: Any
        ) -> Person:
            context = browser.new_context(
                color_scheme="dark" if theme == "dark" else "light",
                viewport={"width": width, "height": height},
                reduced_motion="reduce",
                **context_options,
            )
            opened.callback(context.close)
            context.set_default_timeout(PATIENCE * 1000)
            page: Page = context.new_page()
            one = Person(page, url)
            all_.append(one)
            return one

        try:
            yield come
        finally:  # told of a test that fails
            for one in all_:
                log.warning("%s waits for %s", one.page.url, sorted(f"{it.method} {it.url}" for it in one.unanswered))
        for one in all_:
            assert one.complaints == [], "the browser complained"


@pytest.fixture
def root(host: Host, person: NewPerson) -> Person:
    """root, signed in at the page of the in-memory host."""
    one = person(host.url)
    one.enter("root")
    return one


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    directory = tmp_path_factory.mktemp("host")
    with hosting(directory) as host:
        furnish(host, directory)
        yield host


@pytest.fixture(scope="module")
def somebody(furnished: Host, browser: Browser) -> Iterator[Person]:
    """root, at one page of the furnished host that the tests of a module share."""
    with people(browser) as come:
        one = come(furnished.url)
        one.enter("root")
        yield one


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    """Another site."""
    with elsewhere_served() as place:
        yield place
