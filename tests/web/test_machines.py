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


@pytest.mark.holds("PAGE-6", "PAGE-7")
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
        forces_it_off(machine)
        deletes_and_restores(machine)
        machine.press("Start")
        machine.is_shown_as("Running")
        types_and_is_answered(machine)
        sees_what_the_guest_draws(machine)
        pauses_resumes_and_stops(machine)
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
    expect(uploads).to_contain_text("The connection was lost. It continues automatically.")
    assert line.is_cut.is_set()
    lost = one.page.get_by_text("Connection lost: reconnecting")
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
    one.page.get_by_label("Kind of disk").select_option("No disk")
    one.page.get_by_label("Display").select_option("1024x768")
    one.page.get_by_role("button", name="Next").click()
    expect(one.page.get_by_role("heading", name="What will be done")).to_be_visible()
    one.page.get_by_role("button", name="Create and start").click()
    machine = MachinePage(one, name)
    machine.is_shown_as("Running")
    return machine


def sees_it_boot(machine: MachinePage) -> None:
    """In its graphical console, where the wizard leads: the firmware says what it starts."""
    expect(machine.canvas).to_be_visible(timeout=SECONDS * 1000)
    machine.person.until(lambda: "CD-ROM" in machine.read())


def forces_it_off(machine: MachinePage) -> None:
    """While it boots, so that Linux is up once only: after it was in the trash."""
    machine.more("Force off…")
    machine.page.get_by_role("dialog").get_by_role("button", name="Force off", exact=True).click()
    machine.is_shown_as("Stopped")


def types_and_is_answered(machine: MachinePage) -> None:
    machine.tab("Serial")
    machine.boots()
    machine.type("echo answer-$((6 * 7))")
    machine.says("answer-42")
    expect(machine.page.get_by_text("You have the keyboard")).to_be_visible()


def sees_what_the_guest_draws(machine: MachinePage) -> None:
    machine.paint("red")
    machine.tab("Console")
    machine.is_painted("red")
    assert machine.picture().size == (1024, 768), "what the wizard was told"


def pauses_resumes_and_stops(machine: MachinePage) -> None:
    machine.press("Pause")
    machine.is_shown_as("Paused")
    machine.press("Resume")
    machine.is_shown_as("Running")
    machine.tab("Serial")
    machine.says("answer-42")  # it is connected: what is typed before goes nowhere
    machine.type("echo goes-on-$((1 + 1))")
    machine.says("goes-on-2")
    machine.press("Stop")
    machine.is_shown_as("Stopped")
    expect(machine.page.get_by_text("The VM is stopped: this is its last output")).to_be_visible()


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


@pytest.mark.holds("PAGE-8", "PAGE-9")
def test_consoles_outlive_the_server_and_machines_are_stopped_together(
    start_server: StartServer, guest: Guest, person: NewPerson
) -> None:
    server = start_server()
    iso = {"mid": server.upload("guest.iso", guest.iso.read_bytes()), "mode": "VIRTIO"}
    hears = made(server, "hears", memory_mib=256, displays=[{"name": "d", "width": 1024, "height": 768}], media=[iso])
    screen, serial = (MachinePage(person(f"http://127.0.0.1:{server.port}"), "hears") for _ in range(2))
    for one, tab in (screen, "console"), (serial, "serial"):
        one.person.sign_in("root", PASSWORD)
        one.person.open(f"/vms/{hears}/{tab}")
    serial.boots()
    serial.type("stays=here; while read -r line; do echo heard-$line; done </dev/tty1 &")
    serial.paint("blue")
    screen.is_painted("blue")
    processes = server.processes()
    assert len(processes) == 1

    server.kill()
    for one in screen, serial:
        expect(one.page.get_by_text("Not connected: reconnecting")).to_be_visible()
        expect(one.page.get_by_text("Connection lost: reconnecting")).to_be_visible()
    server.start()
    for one in screen, serial:
        expect(one.page.get_by_text("Not connected: reconnecting")).to_have_count(0, timeout=SECONDS * 1000)
        expect(one.page.get_by_text("Connection lost: reconnecting")).to_have_count(0)
    serial.type("echo it-$stays-still")
    serial.says("it-here-still")
    screen.canvas.click()
    screen.page.keyboard.type("typed after it came back\n")
    serial.says("heard-typed after it came back")
    serial.paint("green")
    screen.is_painted("green")
    assert server.processes() == processes, "no guest was started again"
    assert [one.person.loads for one in (screen, serial)] == [2, 2], "nor a page loaded again"

    deaf = made(server, "deaf", memory_mib=128)  # in its firmware's shell, which knows no power button
    stops_all(screen.person, "hears", "deaf")
    assert [server.state(one)["state"] for one in (hears, deaf)] == ["STOPPED", "STOPPED"]
    assert server.processes() == []


def made(server: Server, name: str, **more: object) -> int:
    """A machine that runs."""
    vmid = int(server.ok("PUT", "/v/vm/efi", name=name, gid=0, cpus=1, **more)["vmid"])
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="RUNNING")
    return vmid


def stops_all(one: Person, hears: str, deaf: str) -> None:
    """In the table. One that does not hear its power button is forced off."""
    one.place("Virtual machines")
    row = {name: one.page.get_by_role("row").filter(has=one.page.get_by_role("link", name=name, exact=True))
           for name in (hears, deaf)}  # fmt: skip
    for name in row:
        one.page.get_by_role("checkbox", name=f"Select {name}").check()
    one.page.get_by_role("button", name="Actions", exact=True).click()
    one.page.get_by_role("menuitem", name="Stop…", exact=True).click()
    one.page.get_by_role("dialog").get_by_role("button", name="Stop", exact=True).click()
    expect(one.page.get_by_text("2 VMs asked to shut down")).to_be_visible()
    expect(row[hears].get_by_text("Stopped", exact=True)).to_be_visible(timeout=SECONDS * 1000)
    expect(row[deaf].get_by_text("Stopping", exact=True)).to_be_visible()
    one.page.get_by_role("button", name="Actions", exact=True).click()
    one.page.get_by_role("menuitem", name="Force off 1 of them…").click()
    dialog = one.page.get_by_role("dialog", name=f"Force {deaf} off?")
    dialog.get_by_role("button", name="Force off").click()
    expect(row[deaf].get_by_text("Stopped", exact=True)).to_be_visible(timeout=SECONDS * 1000)
