"""The first hour: the link that the first start prints, a password of one's own, and what to do first."""

from __future__ import annotations

import re
import shlex
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.host import Host, hosting
from tests.patience import at_last
from tests.web.conftest import NewPerson
from tests.web.person import Person
from velocity.cli.demo.guest import READY, cache_directory, recipe
from velocity.cli.serve import greet
from velocity.client import Client

OWN = "a password of my own"
NOTES_CONNECTION = """() => { window.notes = []; const state = document.querySelector(".v-connection");
    new MutationObserver(() => notes.push(state.textContent)).observe(state, {childList: true, subtree: true}) }"""
EMPTY = "[...document.querySelectorAll('table')].filter(one => one.querySelector('tbody tr') === null).length"


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Host]:
    """A server at its first start."""
    with hosting(tmp_path / "data", root_password="") as made:
        yield made


@pytest.fixture
def owner(fresh: Host, person: NewPerson) -> Person:
    """root, on an installation where nothing was done yet."""
    one = person(fresh.url)
    one.enter("root", "/", fresh.app.root_password or "")
    return one


def printed_link(fresh: Host, capsys: pytest.CaptureFixture[str]) -> str:
    greet(fresh.settings, fresh.app)
    (link,) = re.findall(r"Or open (\S+)", capsys.readouterr().out)
    assert link.startswith(fresh.url)
    return str(link)


def first_steps(page: Page) -> Locator:
    steps = page.get_by_role("region", name="First steps")
    expect(steps).to_be_visible()
    return steps


@pytest.mark.holds("PAGE-66")
def test_the_link_leads_to_a_password_of_ones_own(
    fresh: Host, person: NewPerson, capsys: pytest.CaptureFixture[str]
) -> None:
    link = printed_link(fresh, capsys)
    one = person(fresh.url)
    page = one.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_have_text("Choose your password")
    word = link.rpartition("/")[2]
    assert not any(word in url for url in asked if "#" not in url), "no server or proxy on the way notes it"
    assert word not in page.url
    one.go("/media")
    expect(page.get_by_role("heading", level=1)).to_have_text("Choose your password")
    expect(page.get_by_label("Current password")).to_have_count(0)
    page.locator("#new").fill(OWN)
    page.locator("#again").fill(OWN)
    page.evaluate(NOTES_CONNECTION)
    page.get_by_role("button", name="Set the password").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Dashboard")
    expect(first_steps(page)).to_contain_text(f"VELOCITY_DATA_DIR={fresh.settings.data_dir} ")
    activity = page.get_by_role("region", name="Recent activity").get_by_role("listitem")
    expect(activity.last).to_contain_text("root signed in")
    with Client(fresh.url) as client:
        client.authkey = client.sign_in(name="root", password=OWN).authkey
        client.create_group(name="later", parent_gid=0)
    groups = page.get_by_role("navigation", name="Places").get_by_role("link", name="Groups")
    expect(groups).to_contain_text("2")  # told by the stream that came in place of that of the session that ended
    assert page.evaluate("notes") == []

    again = person(fresh.url)
    again.page.goto(link)
    expect(again.page.get_by_role("heading", level=1)).to_have_text("This link is no longer valid")
    expect(again.page.get_by_text("sign in with name and password")).to_be_visible()
    expect(again.page.get_by_text("velocity passwd")).to_be_visible()
    again.page.get_by_role("button", name="Sign in with a password").click()
    again.page.get_by_label("Name").fill("root")
    again.page.get_by_label("Password").fill(OWN)
    again.page.get_by_role("button", name="Sign in").click()
    first_steps(again.page)


def test_an_empty_installation_says_what_to_do(owner: Person) -> None:
    page = owner.page
    for path in ("/", "/vms", "/media", "/groups", "/users", "/tasks", "/history", "/trash"):
        owner.go(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.locator("[class*=skeleton]")).to_have_count(0)
        assert page.evaluate(EMPTY) == 0, f"{path} shows an empty table"
        if path in ("/", "/vms"):
            first_steps(page)
        if path in ("/media", "/trash", "/tasks"):
            expect(page.locator(".pf-v6-c-empty-state")).to_be_visible()


@pytest.mark.holds("PAGE-87")
def test_the_first_image_and_the_first_machine(fresh: Host, owner: Person, tmp_path: Path) -> None:
    page = owner.page
    image = tmp_path / "install.iso"
    image.write_bytes(bytes(16 * 2048) + b"\x01CD001".ljust(2048, b"\0"))
    with page.expect_file_chooser() as chosen:
        page.get_by_role("button", name="Upload an image").click()
    dialog = page.get_by_role("dialog", name="Upload a medium")
    expect(dialog.get_by_role("button", name="Choose files")).to_be_focused()  # where the browser's own is closed
    chosen.value.set_files(image)
    expect(dialog.get_by_label("Name")).to_be_focused()
    dialog.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("table", name="Media").get_by_text("install.iso").first).to_be_visible()
    owner.go("/")
    expect(page.get_by_role("button", name="Upload another")).to_be_visible()
    page.get_by_role("button", name="Create a virtual machine").click()
    page.get_by_role("radio", name="install.iso").check()
    page.get_by_role("button", name="Next").click()
    page.get_by_label("Name", exact=True).fill("first")
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Create and start").click()
    refused = page.locator("main .pf-m-danger")
    expect(page.get_by_role("heading", level=1, name="first").or_(refused).first).to_be_visible()
    assert refused.all_inner_texts() == []
    assert re.search(r"first\s.*RUNNING", fresh.ok("vm", "list"))


@pytest.mark.holds("PAGE-101")
def test_the_plan_says_how_large_all_of_it_is(owner: Person) -> None:
    page = owner.page
    owner.go("/create")
    page.get_by_role("radio", name="An empty disk").check()
    page.get_by_role("button", name="Next").click()
    for label, value in (("Name", "first"), ("CPUs", "3"), ("Memory", "1.5 GiB"), ("Size", "7")):
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_role("button", name="Next").click()
    chosen = page.locator("dl[aria-label='The virtual machine'] > div")
    expect(chosen).to_have_text(
        [
            *("Namefirst", "Grouproot group", "CPUs3", "Memory1.50 GiB", "Diskfirst-disk, 7 GiB, empty"),
            *("Display1280×800", "NetworkNAT"),
        ]
    )


def test_no_button_of_the_wizard_moves_when_its_plan_comes(owner: Person) -> None:
    """Else one clicks beside it, and nothing happens."""
    page, held = owner.page, list[Route]()
    answers = threading.Event()

    def hold(route: Route) -> None:
        if answers.is_set():
            route.continue_()
        else:
            held.append(route)

    for path in ("**/v/vm/efi", "**/m/media/create"):
        page.route(path, hold)
    owner.go("/create")
    page.get_by_role("radio", name="An empty disk").check()
    page.get_by_role("button", name="Next").click()
    page.get_by_label("Name", exact=True).fill("first")
    page.get_by_role("button", name="Next").click()
    create = page.get_by_role("button", name="Create and start")
    expect(page.get_by_text("Checking what would be done")).to_have_count(2)
    before = create.bounding_box()
    answers.set()
    for route in held:
        route.continue_()
    expect(page.get_by_text("Creates the VM first")).to_be_visible()
    assert create.bounding_box() == before


def test_the_sample_guest(fresh: Host, owner: Person) -> None:
    """Its line is not shown before all of it is known: what one has copied meanwhile would be of another server."""
    page, held, answers = owner.page, list[Route](), threading.Event()
    page.route("**/h/host", lambda route: route.continue_() if answers.is_set() else held.append(route))
    page.reload()
    command = page.get_by_role("group", name="Command line")
    expect(first_steps(page)).to_contain_text("Loading the command line")
    expect(command).to_have_count(0)
    answers.set()
    for route in held:
        route.continue_()
    data, *line = shlex.split(command.inner_text())
    assert data == f"VELOCITY_DATA_DIR={fresh.data}"
    assert Path(line[0]).name == "velocity"
    cache = cache_directory(fresh.data)
    cache.mkdir(parents=True)
    (cache / f"guest-{recipe()}.iso").write_bytes(bytes(4096))  # as if it had been built
    (cache / f"guest-{recipe()}.json").write_text('{"kernel": "6.1"}')
    says_so = threading.Thread(target=ready, args=(fresh,))
    says_so.start()
    try:
        fresh.ok(*line[1:])
    finally:
        says_so.join()
    expect(page.get_by_role("region", name="First steps")).to_have_count(0)
    expect(page.get_by_role("link", name="1 running")).to_be_visible()


def ready(host: Host) -> None:
    """The guest says so, once it runs."""
    at_last(lambda: host.hypervisor.runs, "the start")
    host.say(READY)


def test_the_first_team(fresh: Host, owner: Person, person: NewPerson) -> None:
    page = owner.page
    page.get_by_role("button", name="Set up a team").click()
    dialog = page.get_by_role("dialog", name="Set up a team")
    dialog.get_by_label("Name of the team").fill("web")
    dialog.get_by_label("Pool", exact=True).select_option("default")
    dialog.get_by_label("A new user").check()
    dialog.get_by_label("User name").fill("ann")
    dialog.get_by_label("First password").fill("ann's password")
    dialog.get_by_label("Permissions", exact=True).select_option("maker")
    dialog.get_by_role("button", name="Show the steps").click()
    page.get_by_role("button", name="Set it up").click()
    page.get_by_role("dialog", name="web set up").get_by_text("Close", exact=True).click()
    expect(page).to_have_url(re.compile(r"/groups/1$"))
    expect(page.get_by_role("heading", level=2, name="web")).to_be_visible()
    ann = person(fresh.url)
    ann.enter("ann", "/", "ann's password")
    first_steps(ann.page)
    expect(ann.page.get_by_role("button", name="Upload an image")).to_be_visible()


@pytest.mark.holds("PAGE-102")
def test_a_password_is_shown_to_be_copied_also_where_a_later_step_of_a_team_fails(owner: Person) -> None:
    page = owner.page
    page.get_by_role("button", name="Set up a team").click()
    dialog = page.get_by_role("dialog", name="Set up a team")
    dialog.get_by_label("Name of the team").fill("web")
    dialog.get_by_label("A new user").check()
    dialog.get_by_label("User name").fill("ann")
    dialog.get_by_role("button", name="Generate").click()
    password = dialog.get_by_label("First password").input_value()
    dialog.get_by_role("button", name="Show the steps").click()
    page.route("**/u/user/permission", lambda route: route.fulfill(status=503, json={"code": 503, "message": "no"}))
    page.get_by_role("button", name="Set it up").click()
    page.get_by_role("button", name="Leave it as it is").click()
    shown = page.get_by_role("dialog", name="User ann created")
    expect(shown.get_by_role("group", name="Password")).to_contain_text(password)
    shown.get_by_text("Close", exact=True).click()
    expect(page.get_by_role("heading", level=2, name="web")).to_be_visible()


@pytest.mark.holds("TEAM-16", "PAGE-55")
def test_a_team_boots_from_an_iso_of_the_group_above_that_it_may_not_list(
    fresh: Host, owner: Person, person: NewPerson, tmp_path: Path
) -> None:
    image = tmp_path / "shared.iso"
    image.write_bytes(bytes(32768) + b"\x01CD001\x01".ljust(4096, b"\0"))
    fresh.ok("media", "upload", str(image), "--group", "0")
    fresh.ok("group", "create", "web")
    fresh.ok("user", "create", "ann", typed=f"{OWN}\n{OWN}\n")
    for right in ("vm.create", "vm.view", "vm.alter", "media.list"):
        fresh.ok("user", "grant", "ann", right, "--group", "web")
    ann = person(fresh.url)
    ann.enter("ann", "/media", OWN)
    ann.page.get_by_role("region", name="Shared ISOs").get_by_role("link", name="Create a VM from shared.iso").click()
    expect(ann.page.get_by_role("radio", name="shared.iso")).to_be_checked()
    expect(ann.page.get_by_role("list", name="About shared.iso")).to_contain_text("Installation image")
