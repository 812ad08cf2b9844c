"""The scenes of the pictures in docs/pictures: where each is, and what somebody does there until it can be seen."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import expect

from tests.web.person import Person


@dataclass(frozen=True)
class Look:
    """How the page is looked at: what is appended to the picture's name, theme, size in CSS pixels, pixels for each."""

    suffix: str
    theme: str
    width: int
    height: int
    scale: float = 1


LIGHT = Look("", "light", 1280, 800)
DARK = Look("-dark", "dark", 1280, 800)
PHONE = Look("-phone", "light", 375, 812, 2)
ONE, BOTH, ALL = (LIGHT,), (LIGHT, DARK), (LIGHT, DARK, PHONE)


@dataclass(frozen=True)
class Scene:
    """`walk` leads to what is shown and waits until it is there; it is given a directory for files of its own."""

    name: str
    looks: tuple[Look, ...]
    walk: Callable[[Person, Path], None]


def dashboard(one: Person, _place: Path) -> None:
    one.open("/")
    expect(one.page.get_by_text("of 24 CPUs, over ten seconds")).to_be_visible()
    expect(one.page.get_by_text("archive", exact=True)).to_be_attached()


def vms(one: Person, _place: Path) -> None:
    one.open("/vms")
    expect(one.page.get_by_role("link", name="www-1", exact=True)).to_be_attached()


def wall(one: Person, _place: Path) -> None:
    one.open("/vms?view=wall")
    for name in ("ci-1", "grafana", "kernel-test"):
        expect(one.page.get_by_role("img", name=f"Screen of {name}", exact=True)).to_be_visible()


def vm(one: Person, _place: Path) -> None:
    one.open("/vms?find=www-1")
    one.page.get_by_role("link", name="www-1", exact=True).click()
    expect(one.page.get_by_role("img", name="Screen screen of www-1")).to_be_visible()
    expect(one.page.get_by_role("button", name=re.compile("^Details"))).to_be_attached()


def metrics(one: Person, place: Path) -> None:
    vm(one, place)
    one.page.get_by_role("navigation", name="Of www-1").get_by_role("link", name="Metrics").click()
    expect(one.page.locator("canvas")).to_have_count(4)


def create(one: Person, _place: Path) -> None:
    one.open("/create")
    one.page.get_by_label("Group").select_option("web")
    one.page.get_by_role("radio", name="alpine-virt-3.20.3.iso").check()
    one.page.get_by_role("button", name="Next").click()
    expect(one.page.get_by_text("CPUs after this")).to_be_visible()


def create_plan(one: Person, place: Path) -> None:
    create(one, place)
    one.page.get_by_role("button", name="Next").click()
    expect(one.page.get_by_text("quota of web").last).to_be_visible()
    one.page.get_by_role("button", name="The same from the command line").click()
    expect(one.page.get_by_role("group", name="Command lines")).to_be_visible()


UPLOAD = 213 << 20
"""Bytes."""
PACE = 24 << 20
"""Bytes a second that go out: slow enough to be watched."""


def media(one: Person, place: Path) -> None:
    one.open("/media")
    expect(one.page.get_by_text("ci-1-disk").first).to_be_visible()
    network = one.page.context.new_cdp_session(one.page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": PACE}
    network.send("Network.emulateNetworkConditions", slow)
    image = place / "alpine-standard-3.20.3-x86_64.iso"
    with image.open("wb") as out:
        out.truncate(UPLOAD)
    with one.page.expect_file_chooser() as chooser:
        one.page.get_by_role("button", name="Upload", exact=True).click()
    chooser.value.set_files(image)
    one.page.get_by_role("dialog").get_by_role("button", name="Upload", exact=True).click()
    expect(one.page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", re.compile("[3-9][0-9]"))


def groups(one: Person, _place: Path) -> None:
    one.open("/groups/1")
    expect(one.page.get_by_role("link", name="dina")).to_be_attached()


def why(one: Person, place: Path) -> None:
    groups(one, place)
    one.page.get_by_role("button", name="Why: dina").click()
    expect(one.page.get_by_text("Who could give it")).to_be_visible()


def quota(one: Person, place: Path) -> None:
    groups(one, place)
    one.page.get_by_role("button", name="Change the quota").click()
    expect(one.page.get_by_role("dialog")).to_be_visible()


def trash(one: Person, _place: Path) -> None:
    one.open("/trash")
    expect(one.page.get_by_text("demo-for-sales").first).to_be_visible()


def history(one: Person, _place: Path) -> None:
    one.open("/history")
    expect(one.page.get_by_text("too-large")).to_be_visible()


def palette(one: Person, _place: Path) -> None:
    one.open("/")
    expect(one.page.get_by_text("of 24 CPUs, over ten seconds")).to_be_visible()
    one.page.keyboard.press("Control+k")
    expect(one.page.get_by_role("combobox")).to_be_focused()
    one.page.keyboard.type("www")
    expect(one.page.get_by_role("option", name="stop www-1")).to_be_visible()


SCENES = (
    Scene("dashboard", ALL, dashboard),
    Scene("vms", ALL, vms),
    Scene("wall", BOTH, wall),
    Scene("vm", ALL, vm),
    Scene("metrics", BOTH, metrics),
    Scene("create", ONE, create),
    Scene("create-plan", ONE, create_plan),
    Scene("media", ONE, media),
    Scene("groups", ONE, groups),
    Scene("why", ONE, why),
    Scene("quota", ONE, quota),
    Scene("history", ONE, history),
    Scene("trash", ONE, trash),
    Scene("palette", ONE, palette),
)
"""At the office."""


def console(one: Person, vmid: int) -> None:
    one.open(f"/vms/{vmid}/console")
    expect(one.page.get_by_role("button", name="Ctrl-Alt-Del")).to_be_enabled()
    drawn = "() => [...document.querySelectorAll('canvas')].some(one => one.width >= 640)"
    one.page.wait_for_function(drawn)


def serial(one: Person, vmid: int) -> None:
    one.open(f"/vms/{vmid}/serial")
    expect(one.page.locator(".xterm-rows")).to_contain_text("Filesystem")


CONSOLES = {"console": console, "serial": serial}
"""Of a guest that runs."""
