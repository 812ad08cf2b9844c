"""What is done inside a guest by its agent, at the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.host import Host
from tests.web.person import Person
from velocity.hypervisor.fake import FakeAgent

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ann@laptop"


@pytest.fixture
def agent(host: Host, root: Person) -> FakeAgent:
    """That of a VM that runs, whose overview is shown."""
    host.ok("vm", "create", "web", "--memory", "64M")
    host.ok("vm", "start", "web")
    vmid = json.loads(host.ok("vm", "show", "web", "--json"))["vmid"]
    agent = FakeAgent()
    host.hypervisor.guests.agents.update(dict.fromkeys(host.hypervisor.runs, agent))
    root.go(f"/vms/{vmid}")
    return agent


def opened(one: Person, item: str) -> Locator:
    one.page.get_by_role("button", name="Actions in the guest").click()
    one.page.get_by_role("menuitem", name=f"{item}…").click()
    return one.page.get_by_role("dialog")


def asked(host: Host, command: str) -> object:
    """With what the agent was asked for it last."""
    return next(given for _, one, given in reversed(host.hypervisor.guests.asked) if one == command)


@pytest.mark.holds("PAGE-71")
@pytest.mark.usefixtures("agent")
def test_a_password_and_keys_are_set_in_a_guest(host: Host, root: Person) -> None:
    dialog = opened(root, "Set a password")
    expect(dialog.get_by_label("User of the guest")).to_have_value("root")
    dialog.get_by_role("button", name="Set the password").click()
    expect(dialog).to_contain_text("Type a password.")
    dialog.get_by_label("New password").fill("a good one")
    dialog.get_by_role("button", name="Set the password").click()
    expect(dialog).to_have_count(0)
    assert asked(host, "guest-set-user-password") == {
        "username": "root", "password": "YSBnb29kIG9uZQ==", "crypted": False,
    }  # fmt: skip
    dialog = opened(root, "Add SSH keys")
    dialog.get_by_label("User of the guest").fill("ann")
    dialog.get_by_label("Public keys").fill("-----BEGIN OPENSSH PRIVATE KEY-----")
    expect(dialog).to_contain_text("This is a private key")
    dialog.get_by_label("Public keys").fill(KEY)
    dialog.get_by_role("button", name="Add", exact=True).click()
    expect(dialog).to_have_count(0)
    assert asked(host, "guest-ssh-add-authorized-keys") == {"username": "ann", "keys": [KEY]}


@pytest.mark.holds("PAGE-71")
@pytest.mark.usefixtures("agent")
def test_a_command_is_run_in_a_guest_and_its_output_is_text(root: Person) -> None:
    dialog = opened(root, "Run a command")
    dialog.get_by_role("textbox", name="Command").fill("<b>ls</b> | wc")
    root.page.keyboard.press("Enter")
    expect(dialog.get_by_role("group", name="Output")).to_have_text("/bin/sh -c <b>ls</b> | wc")
    expect(dialog).to_contain_text("It ended without an error.")
    dialog.get_by_role("button", name="The same from the command line").click()
    expect(dialog).to_contain_text("velocity vm exec web -- /bin/sh -c '<b>ls</b> | wc'")


@pytest.mark.holds("PAGE-71")
def test_files_are_copied_into_a_guest_and_out_of_it(root: Person, agent: FakeAgent, tmp_path: Path) -> None:
    content = bytes(range(256)) * 3000  # in two pieces
    (tmp_path / "data.bin").write_bytes(content)
    dialog = opened(root, "Copy a file in")
    dialog.get_by_label("File").set_input_files(tmp_path / "data.bin")
    dialog.get_by_label("Path in the guest").fill("/root/")
    dialog.get_by_role("button", name="Copy", exact=True).click()
    expect(dialog).to_have_count(0)
    assert agent.files["/root/data.bin"] == content
    dialog = opened(root, "Copy a file out")
    dialog.get_by_label("Path in the guest").fill("/root/nothing")
    dialog.get_by_role("button", name="Copy", exact=True).click()
    expect(dialog).to_contain_text("No such file or directory")
    dialog.get_by_label("Path in the guest").fill("/root/data.bin")
    with root.page.expect_download() as download:
        dialog.get_by_role("button", name="Copy", exact=True).click()
    assert download.value.suggested_filename == "data.bin"
    assert download.value.path().read_bytes() == content


@pytest.mark.holds("GUEST-90")
def test_file_systems_are_frozen_and_thawed(root: Person, agent: FakeAgent) -> None:
    dialog = opened(root, "Freeze the file systems")
    dialog.get_by_label("At most, in seconds").fill("601")
    dialog.get_by_role("button", name="Freeze", exact=True).click()
    expect(dialog).to_contain_text("1 to 600 seconds.")
    dialog.get_by_label("At most, in seconds").fill("600")
    dialog.get_by_role("button", name="Freeze", exact=True).click()
    expect(root.page.get_by_text("Its file systems are frozen")).to_be_visible()
    assert agent.frozen == 1
    root.page.get_by_role("button", name="Thaw now").click()
    expect(root.page.get_by_text("Its file systems are frozen")).to_have_count(0)
    assert agent.frozen == 0


@pytest.mark.holds("PAGE-72")
def test_a_vm_with_a_login_has_its_ssh_command(host: Host, root: Person) -> None:
    host.ok("vm", "create", "web", "--memory", "64M", "--nic", "nat", "--forward", "2222:22", "--user", "ann")
    root.go("/vms/1")
    facts = root.page.get_by_role("region", name="Virtual machine")
    expect(facts).to_contain_text("user ann")
    expect(facts).not_to_contain_text("ssh ")
    host.ok("vm", "start", "web")
    expect(facts).to_contain_text("ssh -p 2222 ann@127.0.0.1")
