"""Every verb that lists: what --match leaves, and the order of --sort, are the same in the table and with --json."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import click
import pytest
from click.shell_completion import ShellComplete

from tests.api.test_transfers import metadata
from tests.api.world import PASSWORD
from tests.host import Host, hosting
from tests.hosts.joins import join
from velocity.cli.main import velocity
from velocity.client import Client
from velocity.config import NicSetting, PoolSetting
from velocity.contract.registry import OPERATIONS

pytestmark = pytest.mark.xdist_group("listings")  # they share a host

ARGUMENTS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("vm", "find"): ("penguin",), ("vm", "hosts"): ("penguin",),
}  # fmt: skip
"""What a verb needs besides its name."""


def listings(of: click.Command = velocity, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The verbs that list: all that are named so, and all that have one of the options."""
    if isinstance(of, click.Group):
        context = click.Context(of)
        for name in of.list_commands(context):
            found = of.get_command(context, name)
            assert found is not None
            yield from listings(found, (*path, name))
    elif path[-1] == "list" or {"match", "sort"} & {one.name for one in of.params}:
        yield path


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host with several of everything, none of them in the order of all its columns."""
    place = tmp_path_factory.mktemp("listings")
    pools = [PoolSetting(mpid=1, name="zinc", path=place / "zinc"), PoolSetting(mpid=2, name="air", path=place / "air")]
    nics = [NicSetting(nicid=1, identifier="vz0", description="b"), NicSetting(nicid=2, identifier="va0")]
    with hosting(place / "data", pools=pools, nics=nics) as host:
        for name in ("old", "new"):
            host.ok("media", "create", name, "--size", "1M")
            host.ok("media", "rm", name)
            host.ok("user", "create", f"{name}er", "--password-stdin", typed=PASSWORD)
            host.ok("group", "create", f"{name} group")
        for name, size in (("large", "100M"), ("medium", "2M"), ("small", "10M")):
            host.ok("media", "create", name, "--size", size)
        for name in ("one", "another"):
            host.ok("media", "clone", "medium", name)
        for name, memory in (("penguin", "1000M"), ("auk", "64M"), ("skua", "128M")):
            host.ok("vm", "create", name, "--memory", memory, "--display", "z=320x100", "--display", "a=320x100")
        host.ok("vm", "start", "penguin")
        with Client(host.url) as client:
            client.authkey = host.key
            for name, length in (("walrus", 300), ("seal", 90), ("orca", 7000)):
                about = {"upload-metadata": metadata(name=name), "upload-length": str(length)}
                client.exchange("POST", "/m/media/tus", b"", {"tus-resumable": "1.0.0", **about})
            for name in ("zeta", "beta"):
                join(client, place, name)
            for _ in range(9):  # their ids are random: so many are in their order once in a million times
                client.sign_in(name="root", password=PASSWORD)
        yield host


class Listing:
    def __init__(self, host: Host, path: tuple[str, ...]) -> None:
        self._host = host
        self._words = (*path, *ARGUMENTS.get(path, ()))

    def lines(self, *options: str) -> list[str]:
        """The table, its headings first; without what is free on the disk, which changes meanwhile."""
        headings, *rows = self._host.ok(*self._words, *options).splitlines()
        end = headings.find("  FREE")
        return [line[:end].rstrip() if end > 0 else line for line in (headings, *rows)]

    def items(self, *options: str) -> list[str]:
        """The one list of the API's JSON, each element as it stands there, but for what is free."""
        answer: dict[str, Any] = json.loads(self._host.ok(*self._words, "--json", *options))
        (found,) = [one for one in answer.values() if isinstance(one, list)]
        return [json.dumps({name: value for name, value in one.items() if name != "free"}) for one in found]

    def refused(self, *options: str) -> str:
        done = self._host.run(*self._words, *options)
        assert (done.exit_code, done.stdout) == (2, "")
        return str(done.stderr)

    def said(self, *options: str) -> str:
        """Where there is no table."""
        done = self._host.run(*self._words, *options)
        assert (done.exit_code, done.stdout) == (0, "")
        return str(done.stderr)


def test_there_are_listings() -> None:
    found = set(listings())
    assert {path[0] for path in found} >= {"vm", "media", "pool", "user", "group", "nic", "task", "trash", "session"}
    assert {("history",), ("vm", "find")} <= found


@pytest.mark.holds("CLI-1")
@pytest.mark.parametrize("path", [path for path in listings() if path != ("vm", "hosts")], ids=" ".join)
def test_match_and_sort_are_ignored_by_no_listing(furnished: Host, path: tuple[str, ...]) -> None:
    """But for `vm hosts`, which has nothing to list where there is one host."""
    listing = Listing(furnished, path)
    headings, *lines = listing.lines()
    items = listing.items()
    assert len(items) == len(lines) >= 2
    by_line = dict(zip(items, lines, strict=True))

    words = sorted({word for line in lines for word in line.split()}, key=len, reverse=True)
    few = next(word for word in words if 0 < sum(word.casefold() in line.casefold() for line in lines) < len(lines))
    left = listing.lines("--match", few)[1:]
    assert 0 < len(left) < len(lines)
    matched = listing.items("--match", few)
    assert matched == [item for item, line in by_line.items() if few.casefold() in line.casefold()]
    assert [by_line[item].split() for item in matched] == [line.split() for line in left]

    column, ordered = next(
        (column, ordered)
        for column in re.split(r" {2,}", headings)
        if (ordered := listing.items("--sort", column)) != items
    )
    assert sorted(ordered) == sorted(items)
    assert [by_line[item] for item in ordered] == listing.lines("--sort", column)[1:]
    assert listing.items("--sort", column, "--match", few) == [item for item in ordered if item in matched]

    assert re.fullmatch(r"no [\w ]+ matches 'zzzz'\n", listing.said("--match", "zzzz"))
    assert listing.items("--match", "zzzz") == []
    assert "there is no column 'nothing'" in listing.refused("--sort", "nothing", "--json")


def test_sizes_are_sorted_as_numbers(furnished: Host) -> None:
    for words, size, smaller in (
        (("media", "list", "--match", "0 MiB"), "size", ["medium", "small", "large"]),
        (("vm", "list"), "memory", ["auk", "skua", "penguin"]),
    ):
        lines = furnished.ok(*words, "--sort", size).splitlines()[1:]
        at = 0 if words[0] == "media" else 1
        names = [line.split()[at] for line in lines]
        assert [name for name in names if name in smaller] == smaller


def test_nothing_that_is_left_is_not_called_nothing_there(host: Host) -> None:
    assert "no VMs:" in host.run("vm", "list", "--match", "web").stderr
    host.ok("vm", "create", "web", "--memory", "64M")
    assert host.run("vm", "list", "--match", "zzz").stderr == "no VM matches 'zzz'\n"
    assert host.run("vm", "list", "--state", "running").stderr == "no VM is RUNNING\n"
    assert json.loads(host.ok("vm", "list", "--state", "running", "--json")) == {"vms": []}
    assert host.run("vm", "list", "--state", "runing").exit_code == 2, "and that is no state"
    assert host.run("history", "--refused").stderr == "there are no such entries\n"


@pytest.mark.holds("CLI-22")
def test_columns_are_chosen_and_headings_left_out_in_every_listing(furnished: Host) -> None:
    for path in listings():
        more = ARGUMENTS.get(path, ())
        whole = [re.split(r"  +", line) for line in furnished.ok(*path, *more).splitlines()]
        if not whole:
            continue
        first, second = whole[0][0], whole[0][1]
        bare = furnished.ok(*path, *more, "--no-headings", "--columns", first.lower()).splitlines()
        assert bare == [line[0] for line in whole[1:]], path
        turned = furnished.ok(*path, *more, "--columns", f"{second},{first}").splitlines()
        assert re.split(r"  +", turned[0]) == [second, first], path
        for wrong in (
            ("--columns", "NEVER"),
            ("--columns", ""),
            ("--columns", first, "--json"),
            ("--no-headings", "--json"),
        ):
            refused = furnished.run(*path, *more, *wrong)
            assert (refused.exit_code, refused.stdout) == (2, ""), (path, wrong)
            assert "--columns" in refused.stderr, (path, wrong)


@pytest.mark.holds("CLI-25")
def test_every_listing_comes_in_pages_and_says_how_to_go_on(furnished: Host) -> None:
    for path in listings():
        if path in (("vm", "find"), ("vm", "hosts"), ("media", "catalogue")):
            continue  # what stands on the screens now, what hosts have for one VM, what files on the server's disk say
        offered = {one.value for one in ShellComplete(velocity, {}, "velocity", "").get_completions(list(path), "--")}
        assert {"--limit", "--before"} <= offered, path
        whole = json.loads(furnished.ok(*path, "--json", *(["--limit", "1000"] if path == ("history",) else [])))
        ((field, items),) = [(name, one) for name, one in whole.items() if isinstance(one, list)]
        key = next(one.lists[field] for one in OPERATIONS if field in one.lists)
        ids = sorted((one[key] for one in items), reverse=True)
        first = furnished.run(*path, "--limit", "1")
        assert first.exit_code == 0, path
        assert len(first.stdout.splitlines()) == 2, "the headings, and one line"
        assert first.stderr.endswith(f"there are more: continue with --before {ids[0]}\n"), path
        page = json.loads(furnished.ok(*path, "--json", "--limit", "1", "--before", str(ids[0])))
        assert [one[key] for one in page[field]] == ids[1:2], path
        rest = furnished.run(*path, "--limit", "1000", "--before", str(ids[0]))
        assert len(rest.stdout.splitlines()) == len(ids), path
        assert "there are more" not in rest.stderr, "what is not cut is not told as cut"
        assert furnished.run(*path, "--before", str(ids[-1])).stderr == "there are no more\n", path
        assert "among these 1 matches 'zzzz'" in furnished.run(*path, "--limit", "1", "--match", "zzzz").stderr
        for wrong in (("--limit", "0"), ("--limit", "1001"), ("--before", "nothing")):
            refused = furnished.run(*path, *wrong)
            assert (refused.exit_code, refused.stdout) == (2, ""), (path, wrong)
            assert wrong[0] in refused.stderr, (path, wrong)


@pytest.mark.holds("CLI-25")
def test_a_page_of_several_groups_is_one_page(host: Host) -> None:
    for number, group in enumerate(("/", "a", "/", "a", "a")):
        if number == 1:
            host.ok("group", "create", "a")
        host.ok("vm", "create", f"vm{number}", "--memory", "64M", "--group", group)
    ids = [one["vmid"] for one in json.loads(host.ok("vm", "list", "--all", "--json"))["vms"]]
    ids.sort(reverse=True)
    for limit in (1, 2, 3, 5):
        done = host.run("vm", "list", "--all", "--columns", "vmid", "--no-headings", "--limit", str(limit))
        assert done.stdout.split() == [str(one) for one in ids[:limit]]
        more = "" if limit == 5 else f"there are more: continue with --before {ids[limit - 1]}\n"
        assert done.stderr == more
    for name in ("old", "new"):
        host.ok("media", "create", name, "--size", "1M", "--type", "ISO")
    shared = host.run("media", "list", "--shared", "--group", "a", "--limit", "1")
    assert (len(shared.stdout.splitlines()), "there are more" in shared.stderr) == (2, True)
    assert "no media" in host.run("media", "list", "--group", "a", "--limit", "1").stderr, "own media only"
