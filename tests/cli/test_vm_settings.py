"""The settings of a VM on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.host import Host
from tests.patience import at_last
from velocity.cli.cloud_init import OPTIONS
from velocity.cli.vm_settings import WORDS
from velocity.contract.cloud_init import CloudInit
from velocity.contract.machines import VmSettings


def test_every_setting_has_a_word() -> None:
    assert {word.field for word in WORDS} | {"cloud_init"} == set(VmSettings.__struct_fields__)
    assert set(OPTIONS) == set(CloudInit.__struct_fields__), "which has an option for each of its fields"


def test_what_placement_looks_at_is_written_and_shown(host: Host, tmp_path: Path) -> None:
    words = ("--spread", "front", "--together", "shop", "--host-label", "disk=ssd")
    host.ok("vm", "create", "web", "--memory", "64M", *words)
    shown = host.ok("vm", "show", "web")
    assert "spread        front" in shown
    assert "together      shop" in shown
    assert "host label    disk=ssd" in shown
    file = tmp_path / "wanted.toml"
    wanted = 'spread = "back"\ntogether = "bar"\nhost-labels = ["gpu"]\nha = "restart"\nstart-order = 3\n'
    file.write_text(f'[[vms]]\nname = "web"\nmemory = "64M"\n{wanted}')
    host.ok("apply", "--yes", str(file))
    vm = json.loads(host.ok("vm", "show", "web", "--json"))
    assert (vm["spread"], vm["together"], vm["host_labels"], vm["ha"]) == ("back", "bar", ["gpu"], "restart")
    assert "ha            restart" in host.ok("vm", "show", "web")
    assert "start order   3" in host.ok("vm", "show", "web")
    host.ok(
        "vm",
        "set",
        "web",
        "--spread",
        "",
        "--together",
        "",
        "--host-label",
        "none",
        "--ha",
        "off",
        "--start-order",
        "0",
    )
    assert "start order" not in host.ok("vm", "show", "web")
    assert "ha  " not in host.ok("vm", "show", "web")
    assert not {"spread", "together"} & set(host.ok("vm", "show", "web").split())


@pytest.mark.holds("CLI-2")
def test_notes_are_written_and_shown(host: Host, tmp_path: Path) -> None:
    host.ok("vm", "create", "web", "--memory", "64M", "--notes", "of anna\nroot on /dev/vda")
    shown = [line.split(None, 1) for line in host.ok("vm", "show", "web").splitlines()]
    assert [text for label, text in shown if label == "notes"] == ["of anna", "root on /dev/vda"]
    host.ok("vm", "set", "web", "--cpus", "2")
    assert notes(host) == "of anna\nroot on /dev/vda"
    file = tmp_path / "site.toml"
    file.write_text('[[vms]]\nname = "web"\nmemory = "64M"\ncpus = 2\n')
    assert "nothing to do" in host.ok("apply", str(file)), "a file that says nothing of them leaves them"
    file.write_text(file.read_text() + 'notes = "of ben"\n')
    assert "change VM web in /: notes" in host.ok("apply", str(file), "--yes")
    assert notes(host) == "of ben"
    host.ok("vm", "set", "web", "--notes", "")
    assert notes(host) == ""
    assert "notes" not in host.ok("vm", "show", "web")


@pytest.mark.holds("NAT-14")
def test_ports_of_the_host_are_written_and_shown(host: Host, tmp_path: Path) -> None:
    def shown() -> list[str]:
        lines = [line.split(None, 1) for line in host.ok("vm", "show", "web").splitlines()]
        return [text for label, text in lines if label == "forward"]

    host.ok("vm", "create", "web", "--memory", "64M", "--nic", "nat", "--forward=2222:22", "--forward=2000:53/UDP")
    assert shown() == ["2222:22", "2000:53/udp"]
    host.ok("vm", "set", "web", "--cpus", "2")
    assert shown() == ["2222:22", "2000:53/udp"]
    host.ok("vm", "set", "web", "--forward", "127.0.0.1:2222:22")
    assert shown() == ["127.0.0.1:2222:22"]
    file = tmp_path / "site.toml"
    file.write_text('[[vms]]\nname = "web"\nmemory = "64M"\ncpus = 2\nnics = ["nat"]\n')
    assert "nothing to do" in host.ok("apply", str(file)), "a file that says nothing of them leaves them"
    file.write_text(file.read_text() + 'forwards = ["2222:22"]\n')
    assert "change VM web in /: forwards" in host.ok("apply", str(file), "--yes")
    assert "nothing to do" in host.ok("apply", str(file))
    assert shown() == ["2222:22"]
    for wrong in ("22", "2222:22:22", "2222:22/sctp", "host:2222:22", ":2222:22", "1.2.3.4.5:2222:22"):
        assert "is not a forward" in host.run("vm", "set", "web", "--forward", wrong).stderr
    refused = host.run("vm", "set", "web", "--forward", "1.2.3.256:2222:22")
    assert refused.exit_code == 1 and "host_address" in str(refused.exception)
    host.ok("vm", "set", "web", "--forward", "none")
    assert shown() == []


@pytest.mark.holds("GUEST-39")
def test_a_balloon_is_switched_off_and_on(host: Host, tmp_path: Path) -> None:
    def balloon() -> tuple[bool, list[str]]:
        shown = [line.split(None, 1) for line in host.ok("vm", "show", "web").splitlines()]
        stored = json.loads(host.ok("vm", "show", "web", "--json"))["balloon"]
        return stored, [text.split(",")[0] for label, text in shown if label == "balloon"]

    host.ok("vm", "create", "web", "--memory", "64M")
    assert balloon() == (True, ["on"])
    host.ok("vm", "set", "web", "--cpus", "2", "--no-balloon")
    assert balloon() == (False, ["off"])
    file = tmp_path / "site.toml"
    file.write_text('[[vms]]\nname = "web"\nmemory = "64M"\ncpus = 2\n')
    assert "nothing to do" in host.ok("apply", str(file)), "a file that says nothing of it leaves it"
    file.write_text(file.read_text() + "balloon = true\n")
    assert "change VM web in /: balloon" in host.ok("apply", str(file), "--yes")
    assert balloon() == (True, ["on"])
    host.ok("vm", "create", "plain", "--memory", "64M", "--no-balloon")
    assert json.loads(host.ok("vm", "show", "plain", "--json"))["balloon"] is False


@pytest.mark.holds("GUEST-41")
def test_keyboard_and_pointer_are_written_and_shown(host: Host, tmp_path: Path) -> None:
    def shown() -> list[str]:
        lines = [line.split(None, 1) for line in host.ok("vm", "show", "web").splitlines()]
        return [text for label, text in lines if label == "input"]

    host.ok("vm", "create", "web", "--memory", "64M")
    assert shown() == ["virtio"]
    host.ok("vm", "set", "web", "--input", "usb")
    file = tmp_path / "site.toml"
    file.write_text('[[vms]]\nname = "web"\nmemory = "64M"\n')
    assert "nothing to do" in host.ok("apply", str(file)) and shown() == ["usb"]
    file.write_text(file.read_text() + 'input = "ps2"\n')
    assert "change VM web in /: input" in host.ok("apply", str(file), "--yes") and shown() == ["ps2"]


@pytest.mark.holds("GUEST-45")
def test_options_of_a_disk_are_written_and_shown_and_a_file_says_the_same(host: Host, tmp_path: Path) -> None:
    def media() -> tuple[list[dict[str, object]], list[str]]:
        shown = [line.split(None, 1) for line in host.ok("vm", "show", "web").splitlines()]
        stored = json.loads(host.ok("vm", "show", "web", "--json"))["media"]
        return stored, [text.replace(f" ({one['mid']})", "") for text, one in zip(
            (text for label, text in shown if label == "medium"), stored, strict=True)]  # fmt: skip

    for name in ("a", "b:cache=none"):
        host.ok("media", "create", name, "--size", "1M")
    host.ok("vm", "create", "web", "--memory", "64M", "--media", "a:block:cache=none", "--media", "b:cache=none:ro")
    stored, shown = media()
    mids = [one["mid"] for one in stored]
    assert stored == [
        {"mid": mids[0], "mode": "BLOCK", "readonly": False, "cache": "none"},
        {"mid": mids[1], "mode": "VIRTIO", "readonly": True},
    ]
    assert shown == ["a BLOCK, cache none", "b:cache=none VIRTIO readonly"]
    file = tmp_path / "site.toml"
    words = '[[vms]]\nname = "web"\nmemory = "64M"\nmedia = ["a:cache=none:block", "b:cache=none:ro"]\n'
    file.write_text(words)
    assert "nothing to do" in host.ok("apply", str(file))
    file.write_text(words.replace("a:cache=none", "a:Cache=Writeback"))
    assert "change VM web in /: media" in host.ok("apply", str(file), "--yes")
    assert media()[1][0] == "a BLOCK, cache writeback"
    host.ok("vm", "set", "web", "--media", "a:detect-zeroes:sector-size=4096", "--media", "b:cache=none:ro")
    assert media()[1][0] == "a VIRTIO, sectors of 4,096 bytes, detects zeroes"
    file.write_text(words.replace("a:cache=none:block", "a:detect-zeroes"))
    assert "nothing to do" in host.ok("apply", str(file)), "sectors that a file does not name stay"
    limited = ("a:iops=500:cache=none", "b:cache=none:read-bytes=10M:write-bytes=512:write-iops=7:ro")
    host.ok("vm", "set", "web", *(word for text in limited for word in ("--media", text)))
    assert media()[1] == [
        "a VIRTIO, cache none, sectors of 4,096 bytes, at most 500 operations/s",
        "b:cache=none VIRTIO readonly, at most 7 operations/s of writes, at most 10.0 MiB/s of reads, "
        "at most 512 B/s of writes",
    ]
    file.write_text(f'[[vms]]\nname = "web"\nmemory = "64M"\nmedia = {json.dumps(limited)}\n')
    assert "nothing to do" in host.ok("apply", str(file))
    before = media()
    for wrong, cure in (
        ("a:iops=x", "write iops=500"),
        ("a:bytes=x", "is not a size"),
        ("a:sector-size=1024", "write 512 or 4096"),
        ("a:cache=unsafe", "'unsafe' is not a cache mode: write writeback or none"),
        ("a:cash=none", "cache="),
    ):
        refused = host.run("vm", "set", "web", "--media", wrong)
        assert refused.exit_code != 0 and cure in refused.stderr, wrong
    assert media() == before


def notes(host: Host) -> str:
    return str(json.loads(host.ok("vm", "show", "web", "--json"))["notes"])


@pytest.mark.holds("CLI-30")
def test_cloud_init_is_written_shown_and_applied_and_its_secrets_are_not_shown(host: Host, tmp_path: Path) -> None:
    def shown() -> list[str]:
        found = [line.split(None, 1) for line in host.ok("vm", "show", "web").splitlines()]
        return [line[1] for line in found if line[0] == "cloud-init"]

    blob = "AAAAC3NzaC1lZDI1NTE5AAAAIJ7kZ0qS"
    key, hashed = tmp_path / "id.pub", "$6$saltsalt$SECRETSECRET"
    key.write_text(f"# mine\nssh-ed25519 {blob} me@here\n\n")
    host.ok("vm", "create", "web", "--memory", "64M", "--user", "ann", "--ssh-key", str(key), "--ssh-key",
            f"ssh-rsa {blob}", "--password-hash", hashed, "--package", "git", "--package", "vim")  # fmt: skip
    assert shown() == [
        "user ann", f"key ssh-ed25519 ...{blob[-8:]} me@here",
        f"key ssh-rsa ...{blob[-8:]}", "packages git, vim", "password hash set, and not shown",
    ]  # fmt: skip
    assert "cloud_init" in host.ok("vm", "set", "web", "--hostname", "db", "--plan")
    host.ok("vm", "set", "web", "--user", "bob", "--hostname", "db")
    assert "user bob" in shown() and "hostname db" in shown() and "password hash set, and not shown" in shown()
    (tmp_path / "web.yaml").write_text("#cloud-config\nruncmd: [SECRET]\n")
    file = tmp_path / "site.toml"
    file.write_text('[[vms]]\nname = "web"\nmemory = "64M"\n[vms.cloud-init]\nuser = "bob"\n')
    assert "nothing to do" in host.ok("apply", str(file))
    file.write_text(file.read_text() + f'password-hash = "{hashed}"\nssh-keys = ["id.pub"]\n')
    assert "change VM web in /: cloud_init" in host.ok("apply", str(file), "--yes")
    assert "nothing to do" in host.ok("apply", str(file)), "the server knows the secret, and tells that it is the same"
    file.write_text(file.read_text().replace("SECRETSECRET", "OTHERSOTHERS"))
    assert "change VM web in /: cloud_init" in host.ok("apply", str(file), "--yes")
    words = ("vm", "set", "web", "--no-cloud-init", "--user-data", str(tmp_path / "web.yaml"), "--new-instance")
    assert "vm ssh --new-key" in host.run(*words).stderr
    assert shown() == ["user data set, and not shown"]
    host.ok("vm", "set", "web", "--no-cloud-init")
    assert shown() == []


@pytest.mark.holds("CLI-30")
def test_files_that_are_no_public_keys_are_refused_and_sent_nowhere(host: Host, tmp_path: Path) -> None:
    private, empty, large = tmp_path / "id", tmp_path / "empty", tmp_path / "large"
    private.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n")
    empty.write_text("# nothing\n")
    large.write_bytes(b"#cloud-config\n" + b"#" * 65536)
    for option, word, said in (
        ("--ssh-key", private, "private key"), ("--ssh-key", empty, "ssh-keygen"), ("--ssh-key", "nowhere", "No such"),
        ("--user-data", large, "65,536"), ("--user-data", "/dev/null/x", "cannot be read"),
    ):  # fmt: skip
        refused = host.run("vm", "create", "web", option, str(word))
        assert refused.exit_code == 2 and said in refused.stderr
    assert json.loads(host.ok("vm", "list", "--json"))["vms"] == []


@pytest.mark.holds("GUEST-61", "GUEST-62", "GUEST-64")
def test_maxima_and_cables_are_written_shown_and_applied(host: Host, tmp_path: Path) -> None:
    host.ok("vm", "create", "web", "--memory", "64M", "--nic", "nat:link=down", "--max-cpus", "4")
    shown = host.ok("vm", "show", "web")
    assert "link down" in shown and "max cpus      4" in shown and "max memory" not in shown
    host.ok("vm", "set", "web", "--max-memory", "1G", "--max-cpus", "0", "--nic", "nat:id=1:link=UP")
    info = json.loads(host.ok("vm", "show", "web", "--json"))
    assert (info["max_cpus"], info["max_memory_mib"]) == (0, 1024)
    assert info["nics"] == [{"type": "NAT", "id": 1, "link": "up"}]
    file = tmp_path / "file.toml"
    text = '[[vms]]\nname = "web"\nmemory = "64M"\nnics = ["nat"]\nmax-cpus = 2\nmax-memory = "0"\n'
    file.write_text(text)
    assert "change VM web in /: max_cpus, max_memory_mib" in host.ok("apply", str(file), "--yes")
    assert "change" not in host.ok("apply", str(file), "--yes")
    file.write_text(text.replace('"nat"', '"nat:link=down"'))
    assert "change VM web in /: nics" in host.ok("apply", str(file), "--yes")
    assert "nat:link=sideways" in host.run("vm", "set", "web", "--nic", "nat:link=sideways").stderr


@pytest.mark.holds("GUEST-82")
def test_places_in_the_boot_order_are_written_shown_and_applied(host: Host, tmp_path: Path) -> None:
    host.ok("media", "create", "system", "--size", "1M")
    host.ok("vm", "create", "web", "--memory", "64M", "--media", "system:block:boot=2", "--nic", "nat:boot=1")
    shown = host.ok("vm", "show", "web")
    assert "BLOCK, boots as 2" in shown and "NAT, boots as 1, id 1" in shown
    host.ok("vm", "set", "web", "--nic", "nat:id=1:boot=3:mac=52:54:00:00:00:09")
    assert json.loads(host.ok("vm", "show", "web", "--json"))["nics"][0]["boot"] == 3
    refused = host.run("vm", "set", "web", "--nic", "nat:boot=2")
    assert "nics[0].boot: media[0].boot has the place 2 in the boot order already" in str(refused.exception)
    refused = host.run("vm", "set", "web", "--media", "system:boot=first")
    assert "'first' is not a place in the boot order" in refused.stderr
    file = tmp_path / "file.toml"
    file.write_text('[[vms]]\nname = "web"\nmemory = "64M"\nmedia = ["system:block"]\nnics = ["nat"]\n')
    assert "change VM web in /: nics, media" in host.ok("apply", str(file), "--yes")
    assert "change" not in host.ok("apply", str(file), "--yes")


@pytest.mark.holds("GUEST-87")
def test_what_the_next_start_does_is_chosen_shown_and_cancelled(host: Host) -> None:
    host.ok("media", "create", "system", "--size", "1M")
    host.ok("vm", "create", "web", "--memory", "64M", "--media", "system", "--nic", "nat")
    assert "the next start of web: the firmware's setup, once" in host.ok("vm", "next-boot", "web", "setup")
    assert "next start    the firmware's setup, once" in host.ok("vm", "show", "web")
    assert "as any other" in host.ok("vm", "next-boot", "web", "normal")
    host.ok("vm", "next-boot", "web", "nic:1")
    assert "NIC 1 first, once" in host.ok("vm", "show", "web")
    planned = host.ok("vm", "start", "web", "--firmware-setup", "--plan")
    assert "next_boot nic 1 -> firmware_setup" in planned and "would start vm web" in planned
    assert "next_boot nic 1 -> mid system" in host.ok("vm", "next-boot", "web", "system", "--plan")
    host.ok("vm", "start", "web", "--first", "system")
    (run,) = host.hypervisor.runs.values()
    assert run.begun.first == run.spec.disks[0].media.medium
    host.ok("vm", "restart", "web", "--force", "--firmware-setup")
    (run,) = host.hypervisor.runs.values()
    assert run.begun.setup
    assert "next start" not in host.ok("vm", "show", "web")
    runs = host.run("vm", "start", "web", "--firmware-setup")
    assert "at its next start: the firmware's setup, once" in runs.stderr, "it runs already"
    refused = host.run("vm", "start", "web", "--firmware-setup", "--first", "nic:1")
    assert refused.exit_code == 2 and "do not go together" in refused.stderr


@pytest.mark.holds("CLI-29")
def test_what_waits_and_what_is_live_is_said_in_the_plan_and_in_the_answer(host: Host) -> None:
    host.ok("vm", "create", "web", "--memory", "64M")
    host.ok("vm", "start", "web")
    planned = host.ok("vm", "set", "web", "--cpu", "host", "--drive", "usb", "--plan")
    assert "at once, while it runs: drives" in planned
    assert "at its next start: cpu (a guest detects the features of its CPU at a start)" in planned
    said = host.ok("vm", "set", "web", "--cpu", "host", "--drive", "usb")
    assert "at its next start: cpu\n  cpu: a guest detects the features of its CPU at a start" in said
    assert "cpu: a guest detects the features of its CPU at a start" in host.ok("vm", "show", "web")


def test_why_a_change_waits_and_why_a_vm_does_not_run_names_media(host: Host) -> None:
    for name in ("own", "shared"):
        host.ok("media", "create", name, "--size", "1M", "--format", "raw")
    host.ok("vm", "create", "writer", "--memory", "64M", "--media", "shared:block")
    host.ok("vm", "create", "web", "--memory", "64M", "--media", "own:block")
    for name in ("web", "writer"):
        host.ok("vm", "start", name)
    host.ok("vm", "set", "web", "--media", "own:block", "--media", "shared:block:ro")
    shown = json.loads(host.ok("vm", "show", "web", "--json"))
    mid = shown["media"][1]["mid"]
    assert f"writing to medium {mid}" in shown["waits"]["media"]
    named = f"another VM is writing to medium shared ({mid}): stop it first"
    assert named in host.ok("vm", "show", "web")
    host.run("vm", "restart", "web", "--force")
    at_last(lambda: named in reason(host), "a reason that names the medium")


def reason(host: Host) -> str:
    return next((one for one in host.ok("vm", "show", "web").splitlines() if one.startswith("reason ")), "")
