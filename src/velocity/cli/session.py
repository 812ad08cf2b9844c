"""Which server, and as whom: the environment, the kept session, or the key file of this machine's own server."""

from __future__ import annotations

import os
from pathlib import Path

import click
import msgspec
from msgspec import Struct

from velocity.client import Client
from velocity.config import load


class Kept(Struct, frozen=True):
    """The sessions of `velocity login`, by server, and the server last used."""

    last: str | None = None
    authkeys: dict[str, str] = {}


def connect() -> Client:
    """A client of the chosen server, signed in as far as one can be."""
    kept = read()
    chosen = (click.get_current_context().find_root().obj or {}).get("server")
    settings = load()
    server = (chosen or kept.last or settings.base_url).rstrip("/")
    authkey = os.environ.get("VELOCITY_AUTHKEY") or kept.authkeys.get(server)
    if authkey is None and server == settings.base_url:
        try:
            authkey = settings.key_file.read_text().strip()
        except OSError:
            authkey = None  # not the account that the server runs under: sign in like anybody else
    client = Client(server, authkey)
    client.plans = (click.get_current_context().find_root().obj or {}).get("plans")
    click.get_current_context().call_on_close(client.close)
    return client


def read() -> Kept:
    try:
        return msgspec.json.decode(_file().read_bytes(), type=Kept)
    except (OSError, msgspec.DecodeError):
        return Kept()


def write(kept: Kept) -> None:
    """Keep the sessions, readable by the user alone."""
    file = _file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as out:
        out.write(msgspec.json.encode(kept))
    draft.rename(file)


def _file() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "velocity" / "session.json"
