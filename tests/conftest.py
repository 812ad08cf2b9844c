"""What all tests share."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.host import host as host
from tests.postgres import Postgres
from velocity.cli.demo.guest import Guest, build

hypothesis.settings.register_profile("no clock", deadline=None)
hypothesis.settings.load_profile("no clock")


SAID = "said"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--whole", action="store_true", help="long matrices as a whole, not in their short form")
    parser.addoption("--pictures", type=Path, metavar="DIRECTORY", help="write the documents' pictures there")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests are shared out among workers, one of them has all guests: no more than two are up at a time.

    Guests and long tests come first, so that no worker begins one when the other has nothing left to do.
    """
    for item in items:
        if item.get_closest_marker("guest"):
            item.add_marker(pytest.mark.xdist_group("guests"))
    items.sort(key=lambda item: 0 if item.get_closest_marker("guest") else 1 if item.get_closest_marker("long") else 2)


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """For what a test has measured or counted: it stands at the end of the report."""
    return lambda line: record_property(SAID, line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, line in report.user_properties if report.when == "call" else ():
            if name == SAID:
                terminalreporter.write_line(str(line))


@pytest.fixture
def whole(request: pytest.FixtureRequest) -> bool:
    """Whether a long matrix is wanted as a whole."""
    return bool(request.config.getoption("--whole"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A short directory for sockets: a unix socket's path has at most 107 bytes."""
    made = Path(tempfile.mkdtemp(prefix="vel-"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each of the two databases, empty."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/v.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture(scope="session")
def guest() -> Guest:
    """The demo guest, built once and kept between runs."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return build(caches / "velocity-tests")
