"""Small things of the command line: what people type and have, and what they are told."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.host import Host
from velocity.cli.amounts import to_bytes, to_mebibytes
from velocity.cli.apply.media import PIECE, WHOLE, pieces
from velocity.cli.output import complain
from velocity.cli.table import cells, cut, fitted
from velocity.client.upload import size_of

SMALL = ("--memory", "64M")


def attached(host: Host, name: str) -> list[tuple[str, bool]]:
    media = json.loads(host.ok("vm", "show", name, "--json"))["media"]
    return [(one["mode"], one["readonly"]) for one in media]


@pytest.mark.holds("CLI-15")
@pytest.mark.holds("CLI-15")
def test_a_medium_may_have_colons_in_its_name_and_words_of_modes(host: Host) -> None:
    for name in ("win:xp", "a", "b:ro", "c:block:usb"):
        host.ok("media", "create", name, "--size", "1M")
    for number, (text, mode, readonly) in enumerate(
        (
            ("win:xp", "VIRTIO", False), ("win:xp:block", "BLOCK", False), ("win:xp:USB:ro", "USB", True),
            ("b:ro:block", "BLOCK", False), ("c:block:usb:ro", "VIRTIO", True), ("c:block:usb", "VIRTIO", False),
        )
    ):  # fmt: skip
        host.ok("vm", "create", f"vm{number}", *SMALL, "--media", text)
        assert attached(host, f"vm{number}") == [(mode, readonly)], text
        host.ok("vm", "rm", f"vm{number}", "--purge")
    for text, words in (
        ("a:floppy", "what may follow a name: usb, block, virtio, ro"), ("a:usb:block", "several modes"),
        ("win:nt:block", "what may follow"),
    ):  # fmt: skip
        refused = host.run("vm", "create", "web", *SMALL, "--media", text)
        assert refused.exit_code in (2, 4) and words in refused.stderr, text
    host.ok("media", "create", "b", "--size", "1M")
    both = host.run("vm", "create", "web", *SMALL, "--media", "b:ro")
    assert both.exit_code == 2 and "'b' and 'b:ro'" in both.stderr, "of two that it may mean none is taken"


@pytest.mark.holds("CLI-14")
@pytest.mark.holds("CLI-14")
def test_a_bare_number_is_mebibytes_of_memory_in_every_verb_and_file(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text('[[groups]]\npath = "g"\nquota = { memory = 2048 }\n[[vms]]\nname = "c"\nmemory = 256\n')
    host.ok("vm", "create", "a", "--memory", "512")
    host.ok("vm", "create", "b", *SMALL)
    host.ok("vm", "set", "b", "--memory", "384")
    host.ok("apply", str(file), "--yes")
    assert [one["memory_mib"] for one in json.loads(host.ok("vm", "list", "--json"))["vms"]] == [512, 384, 256]
    assert json.loads(host.ok("group", "quota", "g", "--json"))["limits"]["memory_mib"] == 2048
    host.ok("group", "quota", "g", "--memory", "1024")
    assert json.loads(host.ok("group", "quota", "g", "--json"))["limits"]["memory_mib"] == 1024
    for verb in (("vm", "create"), ("vm", "set"), ("group", "quota")):
        assert "bare number is MiB" in " ".join(host.ok(*verb, "--help").split())
    for verb in (("media", "create"), ("pool", "assign"), ("vm", "log")):
        assert "bare number is bytes" in " ".join(host.ok(*verb, "--help").split()).replace("A bare", "a bare")[
            :9999
        ].replace("A bare", "bare")


@pytest.mark.parametrize(
    ("text", "mebibytes"), [("512", 512), ("512M", 512), ("2g", 2048), ("1 TiB", 1 << 20), ("1024K", 1)]
)
def test_memory(text: str, mebibytes: int) -> None:
    assert to_mebibytes(text) == mebibytes


@pytest.mark.parametrize("text", ["", "M", "-1", "1.5", "1500K", "100B", "1e3", "٣", "9" * 30])
def test_what_is_no_memory(text: str) -> None:
    with pytest.raises(Exception, match="is not"):
        to_mebibytes(text)
    assert to_bytes("100B") == 100


def test_a_file_whose_name_is_no_text_and_what_is_no_file(host: Host, tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.img"))
    odd.write_bytes(b"x" * 512)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for words, why in (
        (("media", "upload", str(odd)), "give one with --name"),
        (("media", "import", str(odd)), "give one with --name"),
        (("media", "upload", str(pipe)), "is a pipe, and its size is not known"),
        (("media", "upload", str(pipe), "--plan"), "is a pipe"),
        (("media", "import", str(pipe), "--name", "x"), "is a pipe"),
        (("media", "upload", "/dev/null"), "neither a file nor a block device"),
        (("media", "import", "./nothing.qcow2"), "there is no file './nothing.qcow2'"),
    ):
        refused = host.run(*words)
        assert refused.exit_code and why in f"{refused.stderr} {refused.exception}", words
    host.ok("media", "upload", str(odd), "--name", "café")
    assert [one["name"] for one in json.loads(host.ok("media", "list", "--json"))["media"]] == ["café"]


def test_a_block_device_is_uploaded_with_its_size(host: Host, tmp_path: Path) -> None:
    image = tmp_path / "stick"
    image.write_bytes(b"of a stick".ljust(1 << 20, b"."))
    made = subprocess.run(["losetup", "--find", "--show", "--read-only", image], capture_output=True, text=True)
    if made.returncode:  # not root, or no loop devices: those that are there, as far as they may be read
        for one in Path("/sys/block").iterdir():
            if os.access(device := Path("/dev", one.name), os.R_OK):
                assert size_of(device) == int((one / "size").read_text()) * 512
        return
    try:
        host.ok("media", "upload", made.stdout.strip(), "--name", "stick")
    finally:
        subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True)
    assert json.loads(host.ok("media", "list", "--json"))["media"][0]["size"] == 1 << 20
    host.ok("media", "download", "stick", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == image.read_bytes()


@pytest.mark.holds("CLI-16")
@pytest.mark.holds("CLI-16")
def test_wrong_usage_and_questions_that_nobody_answers_have_words(
    host: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    host.ok("group", "create", "g")
    host.ok("media", "create", "disk", "--size", "1M")
    host.ok("media", "rm", "disk")
    for words, status, why in (
        (("vm", "list", "--state", "RUNING"), 2, "RUNING"),
        (("vm", "create", "web", "--memory", "100B"), 2, "whole number of MiB"),
        (("group", "rm", "g"), 2, "--yes"),
        (("trash", "empty"), 2, "--yes"),
        (("user", "create", "bob"), 2, "--password-stdin"),
        (("user", "passwd"), 2, "--password-stdin"),
        (("login", "root"), 2, "--password-stdin"),
        (("login",), 2, "give NAME"),
    ):
        refused = host.run(*words, typed="")
        said = f"{refused.stderr} {refused.exception}"
        assert refused.exit_code == status and why in said, (words, refused.exit_code, said)
        assert refused.stdout == "", words
    assert "g" in host.ok("group", "list") and "disk" in host.ok("trash", "list")
    unwritable = host.run("vm", "create", "caf\udce9").exception
    assert isinstance(unwritable, UnicodeEncodeError) and complain(unwritable) == 1
    assert "'caf\ufffd' is not UTF-8 text" in capsys.readouterr().err


def test_people_read_names_and_words_not_ids_and_numbers(host: Host) -> None:
    for name in ("disk", "scratch"):
        mid = host.ok("media", "create", name, "--size", "1M").strip()
    host.ok("vm", "create", "web", *SMALL, "--media", "disk:block", "--media", "scratch:usb:ro")
    shown = [line.split(None, 1)[1] for line in host.ok("vm", "show", "web").splitlines() if line.startswith("medium")]
    assert [one.split()[0] for one in shown] == ["disk", "scratch"] and f"({mid}) USB readonly" in shown[1]
    taken = host.run("vm", "create", "other", *SMALL, "--media", "disk:block")
    assert "medium 'disk' is already attached writable to VM 'web'" in str(taken.exception)
    twice = host.run("vm", "set", "web", "--media", "scratch", "--media", "scratch")
    assert "medium 'scratch' is attached twice, and writable" in str(twice.exception)
    planned = host.ok("vm", "set", "web", "--media", "scratch:block", "--plan")
    assert "media disk/BLOCK/no, scratch/USB/yes -> scratch/BLOCK/no" in planned
    history = host.ok("history", "--refused")
    assert "refused 12228: medium 'disk' is already attached writable to VM 'web'" in history
    done = host.ok("history", "--match", "done")
    host.ok("group", "create", "a vmid=1")
    assert "  created medium scratch in /  " in done, done
    assert "VM web" in host.ok("history", "--refused"), "what was to be changed"
    assert "created group a vmid=1 under /" in host.ok("history"), "what looks like an id in a name stays"


@pytest.mark.holds("CLI-17")
@pytest.mark.holds("CLI-17")
def test_a_table_fits_into_its_terminal() -> None:
    headings = ("NAME", "TYPE", "SIZE", "CONTENT", "MID")
    for name in (
        "short",
        "a name that is long and goes on for some time",
        "日本語の長い名前はとても長いですから",
        "n" * 200,
    ):
        widths = [cells(one) for one in (name, "DISK", "10.0 GiB", "iso9660 Debian 12.5.0 amd64", "x" * 36)]
        widths = [max(one, len(heading)) for one, heading in zip(widths, headings, strict=True)]
        for room in (200, 120, 80, 60, 40):
            shown, fit = fitted(headings, widths, (), room)
            assert sum(fit[one] for one in shown) + 2 * (len(shown) - 1) <= room
            assert 0 in shown and cells(cut(name, fit[0])) <= fit[0]
            assert all(fit[one] == widths[one] for one in shown if headings[one] in ("SIZE", "MID")), "whole, or not"
    assert fitted(headings, [4, 4, 4, 5, 3], (), 80) == ([0, 1, 2, 3, 4], [4, 4, 4, 5, 3])
    assert fitted(headings, [40, 4, 40, 5, 3], ("SIZE",), 60)[0] == [0, 1, 3, 4], "what can be spared goes first"
    assert (cut("日本語", 5), cut("abc", 3), cells("e\u0301")) == ("日本…", "abc", 1)


@pytest.mark.parametrize("length", [0, 1, 1 << 20, WHOLE, WHOLE + 1, 5 << 30])
def test_contents_are_compared_at_both_ends_and_between(length: int) -> None:
    found = list(pieces(length))
    assert all(0 <= begin < end <= length for begin, end in found)
    if length:
        assert found[0][0] == 0 and found[-1][1] == length
    assert sum(end - begin for begin, end in found) == (length if length <= WHOLE else PIECE * len(found))


@pytest.mark.holds("CLI-26")
def test_a_disk_is_a_qcow2_image_unless_one_says_otherwise_and_an_iso_is_what_it_was(
    host: Host, tmp_path: Path
) -> None:
    image = tmp_path / "image.raw"
    image.write_bytes(os.urandom(1024))
    for number, (words, format_) in enumerate(
        (((), "qcow2"), (("--format", "raw"), "raw"), (("--type", "ISO"), "raw"), (("--type", "SEED"), "qcow2"))
    ):
        host.ok("media", "create", f"made{number}", "--size", "1M", *words)
        host.ok("media", "import", str(image), "--name", f"imported{number}", *words)
        media = {one["name"]: one for one in json.loads(host.ok("media", "list", "--json"))["media"]}
        for name in (f"made{number}", f"imported{number}"):
            assert media[name]["format"] == format_, (name, words)


def test_a_clone_that_fails_is_not_called_an_import(host: Host) -> None:
    mid = host.ok("media", "create", "disk", "--size", "1M", "--format", "qcow2").strip()
    (host.data / "media" / f"{mid}.qcow2").write_bytes(b"of no use")
    failed = host.run("media", "clone", "disk", "copy", "--format", "raw")
    assert failed.exit_code == 1
    assert "clone copy FAILED: the image cannot be cloned:" in str(failed.exception)


@pytest.mark.holds("CLI-18")
def test_a_file_that_is_missing_is_not_shown_like_an_empty_one(host: Host) -> None:
    mid = host.ok("media", "create", "disk", "--size", "1M", "--format", "raw").strip()
    host.ok("media", "create", "empty", "--size", "1M", "--format", "raw")
    file = host.data / "media" / f"{mid}.raw"
    file.rename(host.data / "elsewhere")
    listed = host.run("media", "list")
    assert [line.split()[4] for line in listed.stdout.splitlines()[1:]] == ["missing", "0"]
    assert "the file of disk is not in its pool" in listed.stderr
    media = json.loads(host.ok("media", "list", "--json"))["media"]
    assert [one.get("missing") for one in media] == [True, None]
    (host.data / "elsewhere").rename(file)
    assert "missing" not in host.run("media", "list").output


@pytest.mark.holds("CLI-58")
@pytest.mark.parametrize("seconds", ["nan", "-1", "inf", "1e300", "soon"])
def test_no_wait_is_without_an_end(host: Host, seconds: str) -> None:
    for words in (
        ("vm", "stop", "web"), ("vm", "restart", "web"), ("vm", "ssh", "web"), ("vm", "console", "web"),
        ("launch", "debian"), ("service", "stop-guests"),
    ):  # fmt: skip
        refused = host.run(*words, "--timeout", seconds)
        assert refused.exit_code == 2, (words, refused.output)
        assert f"'{seconds}' is not a number of seconds from 0 to" in refused.stderr
