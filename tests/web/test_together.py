"""One at the page of a real server, while others and the clock do their part."""

from __future__ import annotations

import pytest
from playwright.sync_api import Route, expect

from tests.journeys.conftest import StartServer
from tests.journeys.conftest import start_server as start_server
from tests.journeys.server import PASSWORD, Server, cli
from tests.web.conftest import NewPerson
from tests.web.machine import MachinePage
from tests.web.person import Person

pytestmark = pytest.mark.guest

TEN_MINUTES = 600_000
"""Milliseconds."""


@pytest.mark.holds("PAGE-10")
def test_the_page_follows_the_command_line_and_asks_for_nothing(start_server: StartServer, person: NewPerson) -> None:
    server = start_server()
    cli(server, "vm", "create", "old", "--memory", "128M")
    one = person(f"http://127.0.0.1:{server.port}")
    one.page.clock.install()
    one.sign_in("root", PASSWORD)
    one.place("Virtual machines")
    link = one.page.get_by_role("link", name="made", exact=True)
    row = one.page.get_by_role("row").filter(has=link)
    expect(one.page.get_by_role("link", name="old", exact=True)).to_be_visible()
    one.asked.clear()
    cli(server, "vm", "create", "made", "--memory", "128M")
    expect(row.get_by_text("Stopped", exact=True)).to_be_visible()
    cli(server, "vm", "start", "made")
    expect(row.get_by_text("Running", exact=True)).to_be_visible()
    cli(server, "vm", "pause", "made")
    expect(row.get_by_text("Paused", exact=True)).to_be_visible()
    cli(server, "vm", "stop", "--force", "made")
    expect(row.get_by_text("Stopped", exact=True)).to_be_visible()
    one.page.clock.run_for(TEN_MINUTES)
    asked = [request for request in one.asked if not request.startswith("GET /assets/")]  # parts of the page itself
    assert asked == [], "all of it came by the stream"

    one.place("Trash")
    expect(one.page.get_by_role("heading", name="The trash is empty")).to_be_visible()
    one.asked.clear()
    cli(server, "vm", "rm", "made")
    expect(one.page.get_by_role("row").filter(has_text="made")).to_be_visible()
    assert one.asked == ["POST /t/trash/list"], "once, when the stream told of it"
    one.page.clock.run_for(TEN_MINUTES)  # in no time: the stream counts as silent, and may begin anew
    again = {request for request in one.asked if not request.startswith("GET /assets/")}
    assert again == {"POST /t/trash/list"}, "what it does not hold is asked for again only where it has begun anew"


@pytest.mark.holds("PAGE-17", "PAGE-96")
def test_who_has_few_rights_sees_and_is_offered_what_is_his(start_server: StartServer, person: NewPerson) -> None:
    server = start_server()
    team = server.ok("PUT", "/u/group", name="team", parent_gid=0)["gid"]
    server.ok("PUT", "/m/pool/assign", gid=team, mpid=1, write=True, manage=True)
    uid = server.ok("PUT", "/u/user", name="carla", password=PASSWORD)["uid"]
    for permission in "vm.view", "media.list":
        server.ok("PUT", "/u/user/permission", uid=uid, gid=team, permission=f"velocity.{permission}")
    theirs, foreign = owned(server, team, "theirs"), owned(server, 0, "foreign")
    server.ok("PUT", "/v/vm/state", vmid=theirs, state="PAUSED")

    one = person(f"http://127.0.0.1:{server.port}")
    one.sign_in("carla", PASSWORD)
    sees_only_the_own_machine(one)
    sees_only_the_own_medium(one)
    machine = MachinePage(one, "theirs")
    one.open(f"/vms/{theirs}")
    machine.is_shown_as("Paused")
    expect(one.page.locator(".v-head").get_by_role("button")).to_have_text(["Why?"])
    tabs = one.page.get_by_role("navigation", name="Of theirs").get_by_role("link")
    expect(tabs).to_have_text(["Overview", "Devices & settings", "Metrics", "Command"])
    machine.tab("Devices & settings")
    expect(one.page.get_by_text("Changing them needs the permission “Change virtual machines”")).to_be_visible()
    expect(one.page.get_by_role("textbox", name="Name", exact=True)).to_be_disabled()
    expect(one.page.get_by_role("button", name="Review and save…")).to_have_count(0)
    for tab in "console", "serial":
        one.go(f"/vms/{theirs}/{tab}")
        expect(one.page.get_by_text("needs the permission “Use the consoles of virtual machines”")).to_be_visible()
    one.go("/create")
    expect(one.page.get_by_role("heading", name="You may not create VMs")).to_be_visible()
    for vmid in foreign, 4711:  # one that is there, and one that is not: the same words
        one.open(f"/vms/{vmid}")
        none = one.page.get_by_role("heading", name=f"There is no VM {vmid}, or you may not view it")
        expect(none).to_be_visible()
        expect(one.page.get_by_text("foreign")).to_have_count(0)

    one.open(f"/vms/{theirs}")
    right = {"uid": uid, "gid": team, "permission": "velocity.vm.state"}
    server.ok("PUT", "/u/user/permission", **right)
    machine.press("Resume")
    machine.is_shown_as("Running")
    server.ok("DELETE", "/u/user/permission", **right)
    expect(one.page.locator(".v-head").get_by_role("button")).to_have_text(["Why?"])


def owned(server: Server, gid: int, name: str) -> int:
    """A machine of that group, with a medium of its own. The machine's id."""
    medium = {"mpid": 1, "gid": gid, "name": f"disk of {name}", "size": 1 << 20}
    mid = server.ok("PUT", "/m/media/create", **medium)["mid"]
    media = [{"mid": mid, "mode": "BLOCK"}]
    return int(server.ok("PUT", "/v/vm/efi", name=name, gid=gid, cpus=1, memory_mib=128, media=media)["vmid"])


def sees_only_the_own_machine(one: Person) -> None:
    one.place("Virtual machines")
    expect(one.page.get_by_role("link", name="theirs", exact=True)).to_be_visible()
    expect(one.page.get_by_text("foreign")).to_have_count(0)
    expect(one.page.get_by_role("status").get_by_text("1 VM", exact=True)).to_be_visible()
    for name in "Resume theirs", "Actions of theirs", "Create a virtual machine", "Search screens":
        expect(one.page.get_by_role("button", name=name).or_(one.page.get_by_role("link", name=name))).to_have_count(0)
    one.page.get_by_role("checkbox", name="Select theirs").check()
    expect(one.page.get_by_role("button", name="Actions", exact=True)).to_be_disabled()


def sees_only_the_own_medium(one: Person) -> None:
    one.place("Media")
    expect(one.page.get_by_role("row").filter(has_text="disk of theirs")).to_be_visible()
    expect(one.page.get_by_text("foreign")).to_have_count(0)
    for name in "Upload", "Create an empty disk":
        expect(one.page.get_by_role("button", name=name)).to_have_count(0)
    one.page.get_by_role("checkbox", name="Select disk of theirs").check()
    expect(one.page.get_by_role("button", name="Delete")).to_be_disabled()
    one.page.get_by_role("button", name="Actions of disk of theirs").click()
    expect(one.page.get_by_role("menuitem", name="Copy ID")).to_be_visible()
    for name in "Clone…", "Make a disk from it…", "Delete…":
        expect(one.page.get_by_role("menuitem", name=name)).to_have_count(0)


@pytest.mark.holds("PAGE-18")
def test_a_session_that_ends_in_the_wizard_costs_nothing(start_server: StartServer, person: NewPerson) -> None:
    server = start_server()
    one = person(f"http://127.0.0.1:{server.port}")
    one.sign_in("root", PASSWORD)
    one.go("/create")
    one.page.get_by_role("radio", name="An empty disk").check()
    one.page.get_by_role("button", name="Next").click()
    typed = {"Name": "typed by hand", "CPUs": "1", "Memory": "160 MiB", "Size": "3 MiB"}
    for label, value in typed.items():
        one.page.get_by_label(label, exact=True).fill(value)

    end_other_sessions(server)
    one.sign_in_again(PASSWORD)  # it asks by itself: the stream has told that the session ended
    for label, value in typed.items():
        expect(one.page.get_by_label(label, exact=True)).to_have_value(value)
    one.page.get_by_role("button", name="Next").click()

    makes: list[str] = []

    def end_while_it_is_sent(route: Route) -> None:
        asked = route.request.post_data_json
        assert asked is not None
        if not asked.get("plan"):
            makes.append(route.request.method)
            if len(makes) == 1:
                end_other_sessions(server)
        route.continue_()

    one.page.route("**/v/vm/efi", end_while_it_is_sent)
    one.page.get_by_role("button", name="Create and start").click()
    one.sign_in_again(PASSWORD)
    machine = MachinePage(one, "typed by hand")
    machine.is_shown_as("Running")
    assert makes == ["PUT", "PUT"], "refused, then sent again"
    (vm,) = server.ok("POST", "/v/vm/list", gid=0)["vms"]
    assert (vm["name"], vm["cpus"], vm["memory_mib"]) == ("typed by hand", 1, 160)
    (disk,) = server.ok("POST", "/m/media/list", gid=0)["media"]
    assert disk["size"] == 3 << 20
    assert one.loads == 1


def end_other_sessions(server: Server) -> None:
    others = [one["sid"] for one in server.ok("POST", "/u/session/list")["sessions"] if not one["current"]]
    assert others
    for sid in others:
        server.ok("DELETE", "/u/session", sid=sid)
