"""What the command line says to a word that it does not know: what was meant, or what there is."""

from __future__ import annotations

import shlex

import pytest

from tests.cli.people import PASSWORD, member
from tests.host import Host
from velocity.cli.serve import greet


@pytest.fixture
def rolf(teams: Host) -> Host:
    """The command line of root, beside whom there is rolf."""
    teams.ok("user", "create", "rolf", "--password-stdin", typed=PASSWORD)
    return teams


def refusal(host: Host, *words: str) -> tuple[int, str]:
    result = host.run(*words)
    return result.exit_code, result.stderr


def test_who_names_the_permission_first(rolf: Host) -> None:
    for verb in ("grant", "revoke"):
        code, said = refusal(rolf, "user", verb, "viewer", "rolf", "vm.state", "--group", "red")
        assert code == 2
        assert f"did you mean `velocity user {verb} rolf viewer vm.state --group red`?" in said
    assert "rolf" not in rolf.ok("group", "show", "red")
    assert refusal(rolf, "user", "grant", "viewer", "admin", "--group", "red")[0] == 4, "there could be a viewer"


def test_sets_and_permissions_that_are_none(rolf: Host) -> None:
    code, said = refusal(rolf, "user", "grant", "rolf", "viewer", "amdin", "--group", "red")
    assert code == 4
    assert "named 'amdin' (did you mean 'admin'?)" in said
    assert "rolf" not in rolf.ok("group", "show", "red"), "nothing of it is given"
    assert "(did you mean 'vm.state'?)" in refusal(rolf, "user", "revoke", "rolf", "vm.sate", "--group", "red")[1]
    code, said = refusal(rolf, "user", "grant", "rolf", "velocity.admin", "--group", "red")
    assert code == 4
    assert (
        "viewer, operator, maker, admin, user.create, "
        in refusal(rolf, "user", "grant", "rolf", "x", "--group", "0")[1]
    )


def test_users_groups_and_pools_that_are_none(rolf: Host) -> None:
    assert refusal(rolf, "user", "show", "rofl") == (
        4,
        "velocity: there is no user 'rofl' (did you mean 'rolf'?): `velocity user list`\n",
    )
    assert "you see no group named 'redd' (did you mean 'red'?)" in refusal(rolf, "group", "show", "redd")[1]
    assert "'defualt' (did you mean 'default'?)" in refusal(rolf, "pool", "assign", "defualt", "red")[1]
    rosa = member(rolf, "rosa", "red")
    assert "did you mean" not in refusal(rosa, "group", "show", "blu")[1], "she does not see blue"


def test_options_and_verbs_that_are_none(rolf: Host) -> None:
    code, said = refusal(rolf, "group", "create", "attic", "--under", "red")
    assert code == 2
    assert "No such option '--under'. Options: --parent, --json, --plan, --help." in said
    assert (
        "Did you mean one of: '--parent', '--plan'?" in refusal(rolf, "group", "create", "attic", "--parents", "red")[1]
    )
    assert "It goes before the verb: `velocity --server ... VERB`" in refusal(rolf, "vm", "list", "--server", "x")[1]
    assert "Did you mean 'group'?" in refusal(rolf, "gruop", "list")[1]


@pytest.mark.holds("CLI-8")
def test_hints_lead_to_the_same_server_whatever_it_listens_on(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """What the server prints for a terminal that has none of its variables, and what is printed with --server."""
    greet(host.settings, host.app)
    hint = capsys.readouterr().out.splitlines()[-1].partition(": ")[2]
    assert hint.endswith("velocity demo")
    variables, _, _ = hint.rpartition(" velocity demo")
    host.environment = {"XDG_CONFIG_HOME": str(host.data), **dict(one.split("=") for one in shlex.split(variables))}
    assert "root (uid 0)" in host.ok("whoami")
    assert "`velocity vm create NAME`" in host.run("vm", "list").stderr
    told = host.run("--server", host.url, "vm", "list").stderr
    assert f"`velocity --server {host.url} vm create NAME`" in told
