"""Which server, and as whom: the environment, the kept session, or the key file of this machine's own server."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path

import click
import msgspec
from msgspec import Struct

from velocity.client import Client
from velocity.config import Settings, load

_CERTIFICATE = "-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----"


class SavedSessions(Struct, frozen=True):
    """The sessions of `velocity login` and whose they are, by server, and the server last used."""

    last: str | None = None
    authkeys: dict[str, str] = {}
    names: dict[str, str] = {}

    def keeping(self, server: str, authkey: str, name: str) -> SavedSessions:
        return SavedSessions(server, {**self.authkeys, server: authkey}, {**self.names, server: name})

    def without(self, server: str) -> SavedSessions:
        return SavedSessions(
            None, *({at: one for at, one in kept.items() if at != server} for kept in (self.authkeys, self.names))
        )


def connect(*, own: bool = False) -> Client:
    """A client of the chosen server, signed in as far as one can be.

    `own`: unless another is chosen, of this machine's own, with its key file: no kept session counts.
    """
    kept = SavedSessions() if own else read()
    chosen = click.get_current_context().find_root().params.get("server")  # there for completions, too
    settings = load()
    server = (chosen or kept.last or settings.base_url).rstrip("/")
    authkey = os.environ.get("VELOCITY_AUTHKEY") or kept.authkeys.get(server)
    if authkey is None and server == settings.base_url:
        authkey = _key_file(settings)
    client = Client(server, authkey, verify=_trust(settings) if server == settings.base_url else True)
    client.plans = (click.get_current_context().find_root().obj or {}).get("plans")
    click.get_current_context().call_on_close(client.close)
    return client


def _trust(settings: Settings) -> bool | ssl.SSLContext:
    """This machine's own server is known by its very certificate, whatever name that is for, and whoever signed it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        found = re.search(
            r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", Path(settings.tls_cert).read_text(), re.S
        )
        context.load_verify_locations(cadata=found[0] if found else "")
    except (OSError, ValueError):  # there is none, or it is not to be read: as any other server
        return True
    return context


def as_root(client: Client) -> bool:
    """Whether it is known without asking that one is root: by the key file, or by the name that one signed in with.

    The name is enough: nobody else can have it, and what root holds on the root group cannot be taken away.
    """
    mine = read().names.get(client.server) if keeps(client) else None
    return mine == "root" or by_key_file(client)


def by_key_file(client: Client) -> bool:
    """Whether the client is signed in by the key file of this machine's own server."""
    return client.authkey is not None and client.authkey == _key_file(load())


def _key_file(settings: Settings) -> str | None:
    """None: not the account that the server runs under, which signs in like anybody else."""
    try:
        return settings.key_file.read_text().strip()
    except OSError:
        return None


def keep(client: Client, authkey: str, name: str) -> None:
    """Go on as that user of the client's server."""
    write(read().keeping(client.server, authkey, name))


def keeps(client: Client) -> bool:
    """Whether the client is signed in by a session that is kept here."""
    return client.authkey is not None and client.authkey == read().authkeys.get(client.server)


def read() -> SavedSessions:
    try:
        return msgspec.json.decode(_file().read_bytes(), type=SavedSessions)
    except (OSError, msgspec.DecodeError):
        return SavedSessions()


def write(kept: SavedSessions) -> None:
    """Keep the sessions, readable by the user alone."""
    file = _file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as out:
        out.write(msgspec.json.encode(kept))
    draft.rename(file)


def _file() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "velocity" / "session.json"
