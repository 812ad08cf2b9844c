"""The documents' pictures: each scene can be walked; `make screenshots` looks at them and writes docs/pictures."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.host import Host
from tests.journeys.server import PASSWORD as SERVER_PASSWORD
from tests.journeys.server import Server
from tests.web import album, guests, scenes
from tests.web.conftest import NewPerson, people
from tests.web.office import office
from tests.web.person import Person
from velocity.cli.demo.guest import Guest

FITS = "(rows => rows.scrollWidth <= rows.clientWidth)(document.querySelector('.v-rows'))"


@pytest.fixture(scope="module")
def into(request: pytest.FixtureRequest) -> Path | None:
    """Where pictures are written; None: they are only walked to."""
    directory: Path | None = request.config.getoption("--pictures")
    return directory


@pytest.fixture(scope="module")
def running(into: Path | None, guest: Guest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, int]]:
    """A real guest: its server and its id. Linux for pictures; else its firmware's shell is enough."""
    with tempfile.TemporaryDirectory(prefix="vel-") as runtime:
        server = Server(tmp_path_factory.mktemp("real") / "data", runtime_dir=runtime)
        server.start()
        try:
            yield server, guests.in_shell(server, "ci-1") if into is None else guests.linux(server, guest, "ci-1")
        finally:
            server.close()


@pytest.fixture(scope="module")
def screens(into: Path | None, request: pytest.FixtureRequest) -> Mapping[str, bytes]:
    """What stands on the screens of the office: taken of real guests, when pictures are made."""
    if into is None:
        return {}
    server, vmid = request.getfixturevalue("running")
    puts = {name: guests.logs_in(name) for name in ("www-1", "www-2", "postgres", "vpn")}
    puts |= {"shop": guests.shows("sh -c 'dmesg | tail -n 36'"), "ci-1": guests.shows("top -d 5")}
    taken = {}
    for name, command in puts.items():
        guests.types(server, vmid, command)
        taken[name] = guests.shot(server, vmid)
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED")  # one guest at a time has the CPUs
    taken["shop-next"], taken["kernel-test"] = guests.firmware(server)
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    return taken | {"grafana": taken["www-2"]}


@pytest.fixture(scope="module")
def team(screens: Mapping[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with office(tmp_path_factory.mktemp("office"), screens) as host:
        yield host


@pytest.fixture(scope="module")
def anna(team: Host, browser: Browser) -> Any:
    """Her session: she signs in once, or the history would tell of nothing else."""
    context = browser.new_context()
    Person(context.new_page(), team.url).sign_in("anna")
    kept = context.storage_state()
    context.close()
    return kept


@pytest.fixture(scope="module")
def her_browser(team: Host, anna: Any, browser: Browser) -> Iterator[Person]:
    """Where no pictures are taken, she looks at all of it in tabs of one browser, which loads the page once."""
    with people(browser) as come:
        one = come(team.url, storage_state=anna)
        one.open("/settings")
        yield one


@pytest.mark.guest
@pytest.mark.parametrize("name", scenes.CONSOLES)
def test_a_console(
    name: str, running: tuple[Server, int], person: NewPerson, screens: object, into: Path | None
) -> None:
    server, vmid = running
    if into:
        guests.types(server, vmid, guests.shows("top -d 5"))
        guests.types(server, vmid, "clear; report; ip addr show eth0; df -h; ls --color=always /")
    else:
        terminal = server.console(vmid)
        terminal.type("echo Filesystem\r")
        terminal.close()
    one = person(f"http://127.0.0.1:{server.port}")
    one.enter("root", password=SERVER_PASSWORD)
    scenes.CONSOLES[name](one, vmid)
    if into:
        album.save(one.page, into / f"{name}.png")


@pytest.mark.xdist_group("office")  # which takes long to furnish
@pytest.mark.parametrize("scene", scenes.SCENES, ids=lambda scene: scene.name)
def test_a_scene(
    scene: scenes.Scene,
    team: Host,
    anna: Any,
    person: NewPerson,
    into: Path | None,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    if into is None:
        her_browser: Person = request.getfixturevalue("her_browser")
        with her_browser.passing_tab() as tab:
            scene.walk(tab, tmp_path)
        return
    for look in scene.looks:
        one = person(
            team.url,
            theme=look.theme,
            width=look.width,
            height=look.height,
            device_scale_factor=look.scale,
            storage_state=anna,
        )
        scene.walk(one, tmp_path)
        album.save(one.page, into / f"{scene.name}{look.suffix}.png")


@pytest.mark.holds("PAGE-104")
@pytest.mark.xdist_group("office")
@pytest.mark.parametrize("path", ["/vms", "/media", "/hosts", "/trash", "/history"])
def test_a_table_is_whole_in_a_small_window(path: str, her_browser: Person) -> None:
    """Else what can be done with a row lies over its last column, and an address is cut off to another one."""
    with her_browser.passing_tab() as one:
        one.page.set_viewport_size({"width": 1024, "height": 800})
        one.open(path)
        expect(one.page.locator(".v-rows tbody tr").first).to_be_visible()
        pools = 1 if path == "/media" else 0  # there are two: whether they or the media are known first
        expect(one.page.get_by_role("columnheader", name="Pool")).to_have_count(pools)
        one.until(lambda: one.page.evaluate(FITS))
