"""What a person does with real machines at the page: from an image to a guest, and through whatever happens to both."""

from __future__ import annotations

import hashlib
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import Request, expect

from tests.journeys.conftest import StartServer
from tests.journeys.conftest import start_server as start_server
from tests.journeys.server import PASSWORD, Server
from tests.web.conftest import NewPerson
from tests.web.line import Line
from tests.web.machine import SECONDS, MachinePage
from tests.web.person import Person
from velocity.cli.demo.guest import Guest

pytestmark = pytest.mark.guest


def test_from_an_image_over_a_broken_line_to_a_guest_and_back_from_the_trash(
    start_server: StartServer, guest: Guest, person: NewPerson
) -> None:
    server = start_server()
    with Line(server.port) as line:
        one = person(line.url)
        one.sign_in("root", PASSWORD)
        loads = one.loads
        uploads_over_a_line_that_is_cut(one, line, guest.iso)
        is_what_was_sent(server, guest.iso)
        machine = creates_by_the_wizard(one, guest.iso.name, "first")
        sees_it_boot(machine)
        types_and_is_answered(machine)
        sees_what_the_guest_draws(machine)
        pauses_resumes_and_stops(machine)
        deletes_and_restores(machine)
        machine.press("Start")
        machine.is_shown_as("Running")
        machine.tab("Serial")
        machine.boots()
        machine.type("echo again-$((40 + 2))")
        machine.says("again-42")
        assert one.loads == loads, "nothing of it needed the page to be loaded again"


def uploads_over_a_line_that_is_cut(one: Person, line: Line, iso: Path) -> None:
    size = iso.stat().st_size
    began_at: list[int] = []

    def note(request: Request) -> None:
        if request.method == "PATCH" and "/m/media/tus" in request.url:
            began_at.append(int(request.headers["upload-offset"]))

    one.page.on("request", note)
    one.place("Media")
    line.cut_after(size // 2)
    with one.page.expect_file_chooser() as chooser:
        one.page.get_by_role("button", name="Upload", exact=True).click()
    chooser.value.set_files(iso)
    one.page.get_by_role("dialog").get_by_role("button", name="Upload", exact=True).click()
    uploads = one.page.get_by_role("region", name="Uploads")
    expect(uploads).to_contain_text("The connection broke. It goes on by itself.")
    assert line.is_cut.is_set()
    lost = one.page.get_by_text("Connection lost: trying again")
    expect(lost).to_be_visible()
    line.mend()
    expect(uploads.get_by_text("Uploaded", exact=True)).to_be_visible(timeout=SECONDS * 1000)
    assert began_at[0] == 0 and 0 < began_at[-1] < size, "it went on where it broke off"
    expect(lost).to_have_count(0)
    expect(one.page.get_by_role("row").filter(has_text=iso.name)).to_contain_text("ISO")


def is_what_was_sent(server: Server, iso: Path) -> None:
    (medium,) = server.ok("POST", "/m/media/list", gid=0)["media"]
    assert (medium["name"], medium["size"]) == (iso.name, iso.stat().st_size)
    url = f"http://127.0.0.1:{server.port}/m/media/content/{medium['mid']}"
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {server.key}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert hashlib.sha256(answer.read()).hexdigest() == hashlib.sha256(iso.read_bytes()).hexdigest()


def creates_by_the_wizard(one: Person, image: str, name: str) -> MachinePage:
    one.place("Virtual machines")
    one.page.get_by_role("button", name="Create a virtual machine").click()
    one.page.get_by_role("radio", name=image).check()
    one.page.get_by_role("button", name="Next").click()
    one.page.get_by_label("Name", exact=True).fill(name)
    one.page.get_by_label("CPUs").fill("1")
    one.page.get_by_label("Memory").fill("256M")
    one.page.get_by_label("What it is").select_option("No disk")
    one.page.get_by_label("Display").select_option("1024x768")
    one.page.get_by_role("button", name="Next").click()
    expect(one.page.get_by_role("heading", name="What will be done")).to_be_visible()
    one.page.get_by_role("button", name="Create and start").click()
    machine = MachinePage(one, name)
    machine.is_shown_as("Running")
    return machine


def sees_it_boot(machine: MachinePage) -> None:
    """In its graphical console, where the wizard leads."""
    expect(machine.canvas).to_be_visible(timeout=SECONDS * 1000)
    assert machine.person.until(lambda: "Boot" in machine.read())
    assert len(machine.picture().getcolors(1 << 20) or []) > 1


def types_and_is_answered(machine: MachinePage) -> None:
    machine.tab("Serial")
    machine.boots()
    machine.type("echo answer-$((6 * 7))")
    machine.says("answer-42")
    expect(machine.page.get_by_text("You have the keyboard")).to_be_visible()


def sees_what_the_guest_draws(machine: MachinePage) -> None:
    machine.type("clear >/dev/tty0; echo Velocity shows $((6 * 7)) of them >/dev/tty0")
    machine.tab("Console")
    expect(machine.canvas).to_be_visible()
    assert machine.person.until(lambda: "Velocity shows 42 of them" in machine.read())


def pauses_resumes_and_stops(machine: MachinePage) -> None:
    machine.press("Pause")
    machine.is_shown_as("Paused")
    machine.press("Resume")
    machine.is_shown_as("Running")
    machine.tab("Serial")
    machine.type("echo goes-on-$((1 + 1))")
    machine.says("goes-on-2")
    machine.press("Stop")
    machine.is_shown_as("Stopped")
    expect(machine.page.get_by_text("The machine is stopped: this is what it said last")).to_be_visible()


def deletes_and_restores(machine: MachinePage) -> None:
    page, name = machine.page, machine.name
    machine.more("Delete…")
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Virtual machines")
    expect(page.get_by_role("link", name=name, exact=True)).to_have_count(0)
    machine.person.place("Trash")
    page.get_by_role("button", name=f"Restore {name}").click()
    page.get_by_role("dialog").get_by_role("button", name="Restore", exact=True).click()
    expect(page.get_by_role("heading", name="The trash is empty")).to_be_visible()
    machine.person.place("Virtual machines")
    page.get_by_role("link", name=name, exact=True).click()
    machine.is_shown_as("Stopped")
