"""`velocity apply`: the page's example, twice, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.images import qemu_img
from tests.cli.test_pools import between
from tests.host import Host, hosting
from tests.patience import PATIENCE
from velocity.client import Client
from velocity.config import PoolSetting

PAGE = Path(__file__).parents[2] / "docs" / "apply.md"


def example() -> str:
    found, *_ = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return str(found)


def test_the_pages_example_twice(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text(example())
    planned = host.ok("apply", str(file), "--plan")
    assert len(planned.splitlines()) == 9, planned
    assert "create VM site in web" in planned
    assert json.loads(host.ok("group", "list", "--json"))["groups"][1:] == [], "a plan changes nothing"
    first = host.ok("apply", str(file), "--yes")
    assert "the first password of anna" in first
    assert "nothing to do" in host.ok("apply", str(file), "--yes")
    assert json.loads(host.ok("apply", str(file), "--plan", "--json")) == {"steps": []}
    shown = json.loads(host.ok("vm", "show", "site", "--group", "web", "--json"))
    assert (shown["state"], shown["cpus"], shown["autostart"], len(shown["media"])) == ("RUNNING", 2, True, 1)
    file.write_text(
        example().replace("cpus = 2", "cpus = 3").replace('"RUNNING"', '"STOPPED"').replace("vms = 10", "vms = 9")
    )
    changed = host.ok("apply", str(file), "--plan")
    assert [line.strip(" +").split(":")[0] for line in changed.splitlines()] == [
        "set the quota of web", "change VM site in web", "stop VM site in web",
    ]  # fmt: skip
    host.ok("apply", str(file), "--yes")
    assert json.loads(host.ok("vm", "show", "site", "--group", "web", "--json"))["state"] == "STOPPED"
    assert "nothing to do" in host.ok("apply", str(file))


def test_media_from_files(host: Host, tmp_path: Path) -> None:
    (tmp_path / "a.iso").write_bytes(b"x" * 512)
    (tmp_path / "secret").write_text("a password\n")
    file = tmp_path / "site.toml"
    file.write_text('[[media]]\nname = "boot"\nfile = "a.iso"\n[[users]]\nname = "bob"\npassword-file = "secret"\n')
    host.ok("apply", str(file), "--yes")
    assert "ISO" in host.ok("media", "list")
    host.ok("login", "bob", "--password-stdin", typed="a password\n")
    assert "nothing to do" in host.ok("apply", str(file))


def test_what_a_subgroup_inherits_is_not_what_is_assigned_to_it(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    whole = "write = true, manage = true"
    file.write_text(
        f'[[groups]]\npath = "a"\npools = [{{ pool = 1, quota = "1G", {whole} }}]\n'
        f'[[groups]]\npath = "a/b"\npools = [{{ pool = 1, {whole} }}]\n'
    )
    host.ok("apply", str(file), "--yes")
    file.write_text(file.read_text().replace("pool = 1", 'pool = "default"'))
    assert "nothing to do" in host.ok("apply", str(file), "--yes"), "it has no quota of its own, and less by its parent"
    host.ok("pool", "revoke", "1", "a/b")
    assert "assign pool default to a/b" in host.ok("apply", str(file), "--plan"), "what it inherits may cease"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[vm]]", "vm"),
        ("[[vms]]", "name"),
        ("x", "Expected '='"),
        ('[[media]]\nname = "a"\nfile = "not there"', "not there"),
        ('[[vms]]\nname = "a"\ngroup = "nowhere"', "no group 'nowhere'"),
        ('[[media]]\nname = "a"', "one of size, file, image and url"),
        ('[[vms]]\nname = "a"\nstate = "PAUSED"', "state"),
        pytest.param(f"a = {'[' * 5000}", "bad.toml is nested too deeply", id="brackets"),
        pytest.param(f"a = {'9' * 5000}", "bad.toml: Exceeds the limit", id="digits"),
    ],
)
def test_what_a_file_may_not_say(host: Host, tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    refused = host.run("apply", str(file), "--yes")
    assert refused.exit_code == 1
    assert message in str(refused.exception)


IMAGE = b"an image of four sectors".ljust(2048, b".")


def written(tmp_path: Path, text: str) -> str:
    file = tmp_path / "site.toml"
    file.write_text(text)
    return str(file)


@pytest.mark.holds("CLI-11")
@pytest.mark.holds("CLI-11")
def test_what_is_not_as_the_file_says_and_cannot_be_changed_is_told(
    host: Host, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.iso").write_bytes(IMAGE)
    (tmp_path / "b.img").write_bytes(IMAGE)
    text = (
        '[[media]]\nname = "sys"\nsize = "10M"\nformat = "qcow2"\n'
        '[[media]]\nname = "boot"\nfile = "a.iso"\ntype = "ISO"\n[[media]]\nname = "disk"\nfile = "b.img"\n'
    )
    host.ok("apply", written(tmp_path, text), "--yes")
    assert "nothing to do" in host.ok("apply", written(tmp_path, text))
    for old, new, file_name, content, words in (
        ("10M", "5M", "", b"", "medium sys in / is 10.0 MiB, and the file says 5.0 MiB"),
        ("10M", "10485759", "", b"", "is 10485760 bytes, and the file says 10485759 bytes"),
        ("", "", "a.iso", IMAGE * 2, "is 2.0 KiB, and the file says 4.0 KiB"),
        ("", "", "a.iso", IMAGE[::-1], "has another content than a.iso"),
        ("", "", "b.img", IMAGE[::-1], "has another content than b.img"),
    ):
        if file_name:
            (tmp_path / file_name).write_bytes(content)
        file = written(tmp_path, text.replace(old, new) if old else text)
        for option in ("--plan", "--yes"):
            told = host.run("apply", file, option)
            assert told.exit_code == 1 and words in told.stdout and "cannot be changed" in told.stdout, told.output
            assert "nothing to do" not in told.output
        document = json.loads(host.run("apply", file, "--json").stdout)
        assert document["steps"] == [] and any(words in one for one in document["differences"])
    host.ok("vm", "create", "web", "--memory", "64M", "--media", "disk:block")
    assert "b.img" not in host.run("apply", file, "--plan").stdout, "what a VM may write to is its own"
    assert "cannot be changed by apply" in capsys.readouterr().err


@pytest.mark.holds("CLI-27")
def test_a_medium_grows_and_gets_the_type_that_the_file_says(host: Host, tmp_path: Path) -> None:
    text = '[[media]]\nname = "sys"\nsize = "10M"\nformat = "qcow2"\n'
    host.ok("apply", written(tmp_path, text), "--yes")
    file = written(tmp_path, text.replace("10M", "20M") + 'type = "DATA"\n')
    assert "change medium sys in /: size 20M, type DATA" in host.ok("apply", file, "--plan")
    host.ok("apply", file, "--yes")
    (medium,) = json.loads(host.ok("media", "list", "--json"))["media"]
    assert (medium["size"], medium["type"]) == (20 << 20, "DATA")
    assert "nothing to do" in host.ok("apply", file)


@pytest.mark.holds("CLI-27")
def test_a_medium_moves_to_the_pool_that_the_file_says_and_is_converted(tmp_path: Path) -> None:
    pools = [PoolSetting(mpid=one, name=name, path=tmp_path / name) for one, name in ((1, "default"), (2, "fast"))]
    with hosting(tmp_path / "data", pools=pools) as host:
        host.ok("media", "create", "sys", "--size", "1M", "--pool", "fast")
        mid = json.loads(host.ok("media", "show", "sys", "--json"))["mid"]
        file = written(tmp_path, '[[media]]\nname = "sys"\nsize = "1M"\npool = "default"\nformat = "raw"\n')
        assert "change medium sys in /: pool default, format raw" in host.ok("apply", file, "--plan")
        host.ok("apply", file, "--yes")
        one = json.loads(host.ok("media", "show", "sys", "--json"))
        assert (one["mid"], one["mpid"], one["format"]) == (mid, 1, "raw")
        assert "nothing to do" in host.ok("apply", file)
        both = written(tmp_path, "".join(f'[[media]]\nname = "sys"\nsize = "1M"\npool = {one}\n' for one in (1, 2)))
        host.ok("apply", both, "--yes")
        assert "nothing to do" in host.ok("apply", both)


@pytest.mark.holds("CLI-44")
def test_what_takes_effect_at_the_next_start_is_told(host: Host, tmp_path: Path) -> None:
    text = '[[vms]]\nname = "web"\nmemory = "64M"\nstate = "RUNNING"\n'
    host.ok("apply", written(tmp_path, text), "--yes")
    file = written(tmp_path, text + "cpus = 2\n")
    planned = host.run("apply", file, "--plan")
    assert "cpus would change at its next start only (more CPUs" in planned.stderr, planned.stderr
    done = host.run("apply", file, "--yes")
    assert "at its next start: cpus (more CPUs" in done.stderr
    waits = host.run("apply", file)
    assert waits.exit_code == 0 and "cpus take effect at its next start" in waits.stderr


@pytest.mark.holds("CLI-11")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[[groups]]\npath = "a"\n[[groups]]\npath = "/a/"', "two tables for the group a"),
        ('[[users]]\nname = "bob"\n[[users]]\nname = "bob"', "two tables for the user bob"),
        ('[[media]]\nname = "m"\nsize = "1M"\n[[media]]\nname = " m "\nsize = "2M"\ngroup = "/"', "the medium m in /"),
        ('[[media]]\nname = "m"\nsize = "1M"\n[[media]]\nname = "m"\nsize = "2M"\npool = "default"', "the medium m"),
        ('[[vms]]\nname = "w"\ngroup = "g"\n[[vms]]\nname = "w"\ngroup = "/g"', "two tables for the VM w"),
        ('[[groups]]\npath = "h"\npools = [{ pool = 1 }, { pool = "default" }]', "two tables for the pool of h"),
        ('[[media]]\nname = "m"\nsize = "much"', "not a size"),
        ('[[vms]]\nname = "w"\nmemory = "much"', "not an amount of memory"),
        ('[[vms]]\nname = "w"\nmedia = ["nothing"]', "the file does not make it"),
        ('[[vms]]\nname = "w"\nnics = ["token"]\ndisplays = ["wide"]', "is not a display"),
        ('[[users]]\nname = "a b"', "a space is not allowed in a user's name"),
        ('[[users]]\nname = "bob"\npassword-file = "short"', "has not 8 to"),
        ('[[users]]\nname = "bob"\ngrants = [{ group = "/", permissions = ["vm.fly"] }]', "vm.fly"),
    ],
)
@pytest.mark.holds("CLI-11")
def test_what_is_wrong_in_a_file_is_refused_before_anything_is_done(
    shared: Host, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "short").write_text("short\n")
    before = '[[groups]]\npath = "g"\n[[media]]\nname = "x"\nsize = "1M"\n'
    refused = shared.run("apply", written(tmp_path, before + text), "--yes")
    assert refused.exit_code in (1, 2, 4)
    assert message in f"{refused.exception} {refused.stderr}"
    assert len(json.loads(shared.ok("group", "list", "--json"))["groups"]) == 1
    assert json.loads(shared.ok("media", "list", "--json"))["media"] == []


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """One host for those that change nothing."""
    with hosting(tmp_path_factory.mktemp("shared") / "data") as made:
        yield made


@pytest.mark.holds("CLI-13")
@pytest.mark.holds("CLI-13")
def test_json_is_one_document_and_has_the_passwords(host: Host, tmp_path: Path) -> None:
    qemu_img("create", "-f", "qcow2", tmp_path / "disk.qcow2", "1M")
    text = '[[users]]\nname = "zack"\n[[media]]\nname = "disk"\nimage = "disk.qcow2"\n'
    done = host.run("apply", written(tmp_path, text), "--yes", "--json")
    document = json.loads(done.stdout)
    assert (document["done"], len(document["steps"])) == (2, 2)
    host.ok("login", "zack", "--password-stdin", typed=document["passwords"]["zack"] + "\n")
    (tmp_path / "disk.qcow2").write_bytes(b"QFI\xfb" + b"\0" * 508)
    file = written(tmp_path, text.replace('"disk"', '"other"').replace("zack", "zoe"))
    failed = host.run("apply", file, "--yes", "--json")
    document = json.loads(failed.stdout)
    assert failed.exit_code == 1 and document["done"] == 1
    assert document["passwords"].keys() == {"zoe"}, "what was made before the failure is not lost"


@pytest.mark.holds("CLI-53")
def test_passwords_are_told_also_by_a_run_that_is_ended(host: Host, tmp_path: Path) -> None:
    file = written(tmp_path, '[[users]]\nname = "zack"\n[[media]]\nname = "disk"\nsize = "1M"\n')
    with between(host.url) as (url, after):
        after["/m/media/create"] = lambda: os.kill(os.getpid(), signal.SIGTERM)
        ended = host.run("apply", file, "--yes", "--json", VELOCITY_SERVER=url)
    assert ended.exit_code == 128 + signal.SIGTERM
    password = json.loads(ended.stdout)["passwords"]["zack"]
    host.ok("login", "zack", "--password-stdin", typed=password + "\n")


@pytest.mark.holds("CLI-60")
def test_a_password_is_told_also_where_nobody_reads_standard_output_any_more(host: Host, tmp_path: Path) -> None:
    file = written(tmp_path, '[[users]]\nname = "zack"\n')
    ours, theirs = os.pipe()
    with between(host.url) as (way, after):
        after["/u/user"] = lambda: os.close(ours)
        says = "from velocity.cli.main import main; main()"
        ran = subprocess.run(
            [sys.executable, "-c", says, "apply", file, "--yes"], stdout=theirs, stderr=subprocess.PIPE, text=True,
            env=os.environ | host.environment | {"VELOCITY_SERVER": way}, timeout=PATIENCE, check=False,
        )  # fmt: skip
    os.close(theirs)
    password = ran.stderr.partition("the first password of zack: ")[2].split()[0]
    host.ok("login", "zack", "--password-stdin", typed=password + "\n")


@pytest.mark.holds("CLI-60")
def test_a_password_is_told_also_where_the_answer_to_the_creation_is_lost(host: Host, tmp_path: Path) -> None:
    file = written(tmp_path, '[[users]]\nname = "zack"\n')

    def cut() -> None:
        raise ConnectionAbortedError

    with between(host.url) as (way, after):
        after["/u/user"] = cut
        lost = host.run("apply", file, "--yes", VELOCITY_SERVER=way)
    assert lost.exit_code == 5
    password = lost.stdout.partition("the first password of zack: ")[2].split()[0]
    host.ok("login", "zack", "--password-stdin", typed=password + "\n")


def test_a_file_by_standard_input(host: Host) -> None:
    text = '[[groups]]\npath = "a"\n'
    asked = host.run("apply", "-", typed=text)
    assert asked.exit_code == 2 and "there is no terminal" in asked.stderr and "--yes" in asked.stderr
    assert "create group a" in host.run("apply", "-", "--plan", typed=text).stdout
    assert host.run("apply", "-", "--yes", typed=text).exit_code == 0
    assert "a" in host.ok("group", "list")
    assert "standard input" in str(host.run("apply", "-", typed="x").exception)


WHOLE = """
[[groups]]
path = "g"
quota = { vms = 3 }
pools = [{ pool = 1, write = true, manage = true }]
[[users]]
name = "bob"
group = "g"
password-file = "secret"
grants = [{ group = "g", permissions = ["viewer"] }]
[[media]]
name = "disk"
group = "g"
image = "disk.qcow2"
[[media]]
name = "empty"
group = "g"
size = "1M"
[[media]]
name = "boot"
group = "g"
file = "secret"
[[vms]]
name = "web"
group = "g"
memory = "64M"
media = ["disk:block", "boot:usb:ro"]
state = "RUNNING"
"""
HALF = (
    ("group", "create", "g"),
    ("group", "quota", "g", "--vms", "3"),
    ("pool", "assign", "id:1", "g", "--write", "--manage"),
    ("user", "create", "bob", "--password-stdin"),
    ("vm", "create", "web", "--memory", "64M", "--group", "g"),
)
"""What a run leaves that ended in the midst."""


@pytest.fixture
def whole(tmp_path: Path) -> str:
    qemu_img("create", "-f", "qcow2", tmp_path / "disk.qcow2", "1M")
    (tmp_path / "secret").write_text("a password\n")
    return written(tmp_path, WHOLE)


def check_whole(host: Host, file: str) -> None:
    """All is there once, and nothing else."""
    assert "nothing to do" in host.ok("apply", file)
    media = json.loads(host.ok("media", "list", "--group", "g", "--json"))["media"]
    assert sorted(one["name"] for one in media) == ["boot", "disk", "empty"]
    assert json.loads(host.ok("media", "uploads", "--group", "g", "--json"))["uploads"] == []
    shown = json.loads(host.ok("vm", "show", "web", "--group", "g", "--json"))
    assert shown["state"] == "RUNNING" and len(shown["media"]) == 2
    assert "viewer" in host.ok("user", "show", "bob")


@pytest.mark.holds("CLI-12")
@pytest.mark.holds("CLI-12")
def test_a_second_run_finishes_what_the_first_has_half_done(host: Host, whole: str) -> None:
    for words in HALF:
        host.ok(*words, typed="a password\n" if words[0] == "user" else None)
    steps = json.loads(host.ok("apply", whole, "--plan", "--json"))["steps"]
    assert [step.split(":")[0] for step in steps] == [
        "move user bob to g", "grant bob viewer on g", "import medium disk (disk.qcow2) for g",
        "create medium empty (1M) for g", "upload medium boot (secret) for g", "change VM web in g",
        "start VM web in g",
    ]  # fmt: skip
    host.ok("apply", whole, "--yes")
    check_whole(host, whole)


@pytest.mark.holds("CLI-12")
@pytest.mark.holds("CLI-12")
def test_a_run_is_not_harmed_by_another_one_at_the_same_time(host: Host, whole: str) -> None:
    other: list[str] = []
    with between(host.url) as (url, after):

        def once() -> None:
            if not other:
                other.append("")
                other[0] = host.ok("apply", whole, "--yes")

        after["/u/user/list"] = once  # ours has planned to make everything
        ours = host.run("apply", whole, "--yes", "--json", VELOCITY_SERVER=url)
    assert ours.exit_code == 0, (ours.stderr, ours.exception)
    assert "create VM web in g" in other[0]
    document = json.loads(ours.stdout)
    assert document["done"] == len(document["steps"]) > 8
    check_whole(host, whole)


@pytest.mark.holds("CLI-12")
@pytest.mark.holds("CLI-12")
def test_a_change_of_a_vm_does_not_undo_what_another_one_changed_meanwhile(host: Host, tmp_path: Path) -> None:
    vmid = int(host.ok("vm", "create", "web", "--memory", "64M"))
    file = written(tmp_path, '[[vms]]\nname = "web"\nmemory = "64M"\ncpus = 2\n')
    asked: list[str] = []
    with Client(host.url, host.key) as client, between(host.url) as (url, after):

        def once() -> None:
            asked.append("")
            if len(asked) == 2:  # ours has looked at it, and will change it
                client.alter_vm(vmid=vmid, notes="of anna", cpus=3)

        after["/v/vm"] = once
        ours = host.run("apply", file, "--yes", VELOCITY_SERVER=url)
    assert ours.exit_code == 0, (ours.stderr, ours.exception)
    shown = json.loads(host.ok("vm", "show", "web", "--json"))
    assert (shown["cpus"], shown["notes"]) == (2, "of anna")
