"""Members of teams, each with a command line of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.host import Host

PASSWORD = "a first password"


def member(host: Host, name: str, *groups: str, holds: str = "admin") -> Host:
    """The command line of somebody who holds that on those groups, signed in."""
    host.ok("user", "create", name, "--password-stdin", typed=PASSWORD + "\n")
    for group in groups:
        host.ok("user", "grant", name, *holds.split(), "--group", group)
    return signed_in(host, name, PASSWORD)


def signed_in(host: Host, name: str, password: str) -> Host:
    kept = str(Path(host.environment["XDG_CONFIG_HOME"]) / name)
    environment = {word: value for word, value in host.environment.items() if word != "VELOCITY_AUTHKEY"}
    one = replace(host, environment=environment | {"XDG_CONFIG_HOME": kept, "VELOCITY_DATA_DIR": kept})
    one.ok("login", name, "--password-stdin", typed=password + "\n")
    return one
