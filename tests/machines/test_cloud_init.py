"""What is made of a VM's setting for cloud-init, and what is refused of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest
import yaml
from msgspec import UNSET

from velocity.contract.cloud_init import CloudInit
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import SeedSpec
from velocity.machines.rules import Machine, Spec
from velocity.machines.settings import cloud_init

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7kZ0qS me@here"
HASH = "$6$saltsalt$abcdefghijklmnopqrstuvwx"


def seed(name: str = "web", **wanted: Any) -> SeedSpec | None:
    spec = Spec(
        cpus=1, memory_mib=64, machine_type="q35", firmware="f", cloud_init=CloudInit(**wanted) if wanted else UNSET
    )
    return cloud_init.seed(Machine(1, UUID(int=7), 0, name, cloud_init.with_instance(spec, None)))


def config(**wanted: Any) -> Any:
    text = cloud_init.user_data(CloudInit(**wanted))
    assert text.startswith("#cloud-config\n"), "by its first line cloud-init knows it"
    said = yaml.safe_load(text)
    assert said.pop("manage_etc_hosts") == "localhost", "sudo finds the guest's name"
    return said


@pytest.mark.holds("MORE-11")
def test_the_short_form_becomes_user_data_in_cloud_inits_words() -> None:
    assert config(user="ann", ssh_keys=[KEY]) == {"user": {"name": "ann", "ssh_authorized_keys": [KEY]}}
    assert config(user="ann", ssh_keys=[KEY], password_hash=HASH) == {
        "user": {"name": "ann", "ssh_authorized_keys": [KEY], "hashed_passwd": HASH, "lock_passwd": False}
    }
    assert config(password_hash=HASH) == {
        "user": {"hashed_passwd": HASH, "lock_passwd": False}, "ssh_pwauth": True,
    }, "without a key, ssh asks for the password"  # fmt: skip
    assert config(packages=["git", "vim"], timezone="Europe/Berlin") == {
        "timezone": "Europe/Berlin", "package_update": True, "packages": ["git", "vim"],
    }  # fmt: skip
    assert config(hostname="db") == {}, "the name is in the meta-data"
    tricky = f"{KEY} - {{a: [*x]}} # \U0001f600 'quoted\""
    assert config(ssh_keys=[tricky])["user"]["ssh_authorized_keys"] == [tricky]


@pytest.mark.holds("MORE-11")
def test_the_seed_has_the_host_name_of_the_vm_and_whole_texts_as_they_are() -> None:
    assert seed() is None, "a VM of which nothing is set has none"
    made = seed("Web Server, the 1st!", user="ann")
    assert made is not None and yaml.safe_load(made.meta_data)["local-hostname"] == "web-server-the-1st"
    assert seed("\u00fc", user="ann") is not None and cloud_init.host_name("\u00fc", UUID(int=7)) == "vm-00000000"
    script = "#!/bin/sh\necho ${HOME}\t\u00e4\n"
    made = seed(hostname="db", user_data=script, network_config="version: 2\n", meta_data="instance-id: mine\na: 1")
    assert made is not None and (made.user_data, made.network_config) == (script, "version: 2\n")
    assert yaml.safe_load(made.meta_data) == {"instance-id": "mine", "local-hostname": "db", "a": 1}
    assert script not in repr(made), "no log shows it"


def test_absent_fields_stay_and_empty_ones_go() -> None:
    has = CloudInit(user="ann", ssh_keys=[KEY], password_hash=HASH)
    assert cloud_init.changed(has, CloudInit()) == has
    assert cloud_init.changed(has, CloudInit(user="bob")) == CloudInit(user="bob", ssh_keys=[KEY], password_hash=HASH)
    gone = cloud_init.changed(has, CloudInit(user="", ssh_keys=[], password_hash=""))
    assert gone is UNSET and cloud_init.changed(UNSET, CloudInit(user="")) is UNSET


BAD = {
    "user_data": [
        "packages: [git]",
        "#cloud-config\n- a\n",
        "#cloud-config\na: [1\n",
        "#cloud-config\na: *b\n",
        "#cloud-config\na: 1\n---\nb: 2\n",
        "#cloud-config\na: \x00\n",
        "#cloud-config\na: " + "[" * 200 + "]" * 200,
        "#cloud-config\n" + "#" * 65536,
        "#cloud-config\n# " + "\u00e4" * 32768,
        "\ud800",
    ],
    "network_config": ["a", "- eth0", "a: b: c", "{"],
    "meta_data": [
        "a: &x 1\nb: *x",
        "a: !!python/name:os.system",
        "a: " + "9" * 5000,
        "a: 0x" + "f" * 5000,
        "{}\n{}",
        "a: 2026-99-99",
    ],
}


@pytest.mark.holds("MORE-12")
@pytest.mark.parametrize(("field", "text"), [(field, text) for field, texts in BAD.items() for text in texts])
def test_what_cloud_init_would_not_take_is_refused_by_its_field(field: str, text: str) -> None:
    with pytest.raises(Refused, match=rf"^cloud_init\.{field} ") as refused:
        cloud_init.check(msgspec.structs.replace(CloudInit(), **{field: text}))
    assert (refused.value.problem, refused.value.field) == (Problem.MALFORMED, f"cloud_init.{field}")
    assert len(refused.value.message) < 250


@pytest.mark.holds("MORE-12")
def test_what_it_takes_is_accepted_and_a_whole_text_takes_the_place_of_the_short_form() -> None:
    for text in (
        "#cloud-config", "#cloud-config\n", "#cloud-config\na: &x [1]\nb: *x\n<<: {c: d}\n", "#!/bin/sh\n{[",
        "Content-Type: multipart/mixed; boundary=x\n", "## template: jinja\n#cloud-config\na: {{ b }}\n",
        "#include\nhttps://example.org/config\n",
    ):  # fmt: skip
        cloud_init.check(CloudInit(user_data=text, hostname="web", network_config="version: 2", meta_data="a: [b]"))
        for beside in ({"user": "ann"}, {"ssh_keys": [KEY]}, {"password_hash": HASH}, {"packages": ["git"]}):
            with pytest.raises(Refused, match=rf"takes the place of {next(iter(beside))}:"):
                cloud_init.check(msgspec.structs.replace(CloudInit(user_data=text), **beside))


@pytest.mark.holds("MORE-12")
def test_an_alias_grows_to_nothing() -> None:
    """A billion of them are looked at as they were sent."""
    bomb = "#cloud-config\na0: &a0 [x,x,x,x,x,x,x,x,x]\n"
    bomb += "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 60))
    cloud_init.check(CloudInit(user_data=bomb))
    with pytest.raises(Refused, match="alias"):
        cloud_init.check(CloudInit(meta_data=bomb))


@pytest.mark.holds("MORE-10")
def test_what_is_wrong_is_told_without_the_words_that_stand_there() -> None:
    for text in ("#cloud-config\npassword: hunter2: [\n", "#cloud-config\n&hunter2 hunter2: *hunter2hunter2\n\t"):
        with pytest.raises(Refused) as refused:
            cloud_init.check(CloudInit(user_data=text))
        assert "hunter2:" not in refused.value.message


def test_what_is_set_is_shown_but_for_its_secrets() -> None:
    shown = cloud_init.shown(CloudInit(user="ann", ssh_keys=[KEY], password_hash=HASH, meta_data="a: b"))
    assert (shown.user, shown.ssh_keys, shown.timezone) == ("ann", [KEY], UNSET)
    assert shown.secrets == ["password_hash", "meta_data"]
