"""Which server, and as whom: from the environment, the saved session, or the key file of this machine's own server."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from msgspec import Struct

from velocity.cli import own_server
from velocity.client import Client
from velocity.client.renewal import HeldSession
from velocity.client.trust import CERTIFICATE, authority, certificates
from velocity.config import Settings, load

if TYPE_CHECKING:
    import ssl

    from velocity.contract.auth import IssuedAuthkey


class SavedSessions(Struct, frozen=True):
    """The sessions of `velocity login`, by server: names, authkeys, and certificates (PEM) to trust; and the last
    server used.

    `times`: when each authkey was issued, by this machine's clock, and when it expires.
    """

    last: str | None = None
    authkeys: dict[str, str] = {}
    names: dict[str, str] = {}
    authorities: dict[str, str] = {}
    times: dict[str, tuple[int, int]] = {}

    def keeping(self, server: str, session: HeldSession, name: str, authority: str | None) -> SavedSessions:
        kept = self.without(server)
        trusted = {} if authority is None else {server: authority}
        return SavedSessions(
            server,
            {**kept.authkeys, server: session.authkey},
            {**kept.names, server: name},
            {**kept.authorities, **trusted},
            {**kept.times, server: (session.issued, session.expires)},
        )

    def without(self, server: str) -> SavedSessions:
        every: tuple[dict[str, Any], ...] = (self.authkeys, self.names, self.authorities, self.times)
        return SavedSessions(None, *({at: one for at, one in kept.items() if at != server} for kept in every))

    def held(self, server: str) -> HeldSession | None:
        if server not in self.authkeys or server not in self.times:
            return None
        return HeldSession(self.authkeys[server], *self.times[server])


class SavedSession:
    """Implements `velocity.client.renewal.SessionStore` for one server, shared by all commands of this account."""

    def __init__(self, server: str) -> None:
        self._server = server

    def turn(self) -> AbstractContextManager[None]:
        return _turn()

    def read(self) -> HeldSession | None:
        return read().held(self._server)

    def write(self, session: HeldSession) -> None:
        kept = read()
        if self._server in kept.names:  # otherwise it was signed out meanwhile
            trusted = kept.authorities.get(self._server)
            renewed = kept.keeping(self._server, session, kept.names[self._server], trusted)
            _write(msgspec.structs.replace(renewed, last=kept.last))


def connect(*, own: Settings | None = None) -> Client:
    """A client of the chosen server, signed in if possible.

    `own`: by default use this machine's own server with these settings and its key file, without saved sessions.
    """
    kept = SavedSessions() if own else read()
    chosen = click.get_current_context().find_root().params.get("server")  # available during completion, too
    settings = own or load()
    here = own_server.address(settings)
    server = (chosen or kept.last or here).rstrip("/")
    authkey = _given() or kept.authkeys.get(server)
    uds, verify = None, _authority(kept, server)
    if server == here:
        authkey = authkey or _key_file(settings)
        uds = click.get_current_context().with_resource(own_server.way(settings))
        verify = verify or _own_certificate(settings)
    client = Client(server, authkey, verify=verify or True, uds=uds)
    held = kept.held(server)
    if held is not None and held.authkey == authkey:
        client.stay_signed_in(held, SavedSession(server))
    client.plans = (click.get_current_context().find_root().obj or {}).get("plans")
    click.get_current_context().call_on_close(client.close)
    return client


def _given() -> str:
    """The authkey in the environment; of a file, it may end with a line's end."""
    authkey = os.environ.get("VELOCITY_AUTHKEY", "").strip()
    if not (authkey.isascii() and authkey.isprintable()):
        raise click.ClickException("VELOCITY_AUTHKEY has characters that are in no authkey: copy it again, as one word")
    return authkey


def named_authority() -> Path | None:
    """The file in `--ca` or VELOCITY_CA."""
    named: str | None = click.get_current_context().find_root().params.get("ca")
    return Path(named) if named else None


def _authority(kept: SavedSessions, server: str) -> ssl.SSLContext | Path | None:
    """The certificates to trust for the server instead of this machine's store: named now, or at the login."""
    if file := named_authority():
        return file
    return authority(kept.authorities[server]) if server in kept.authorities else None


def _own_certificate(settings: Settings) -> ssl.SSLContext | None:
    """The certificate of this machine's own server, for when its socket is missing. It is trusted as it is, whoever has
    signed it and whatever names it has.
    """
    if not settings.tls_cert:
        return None
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        found = re.search(CERTIFICATE, Path(settings.tls_cert).read_text(), re.S)
        context.load_verify_locations(cadata=found[0] if found else "")
    except (OSError, ValueError):  # it is missing or unreadable: verify as for other servers
        return None
    return context


def as_root(client: Client) -> bool:
    """Whether it is known without a request that the caller is root: by the key file, or by the name at the login.

    No other user can have that name, and root's permissions on the root group cannot be revoked.
    """
    mine = read().names.get(client.server) if keeps(client) else None
    return mine == "root" or by_key_file(client)


def by_key_file(client: Client) -> bool:
    """Whether the client uses the key file of this machine's own server."""
    return client.authkey is not None and client.authkey == _key_file(load())


def _key_file(settings: Settings) -> str | None:
    """The key; None if this is not the server's account, and has to sign in."""
    try:
        return settings.key_file.read_text().strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def keep(client: Client, issued: IssuedAuthkey, name: str) -> None:
    """Save the session for the client's server, with the certificates that are trusted."""
    file = named_authority()
    named = certificates(file) if file else None
    with _turn():
        kept = read()
        trusted = named or kept.authorities.get(client.server)
        _write(kept.keeping(client.server, HeldSession.of(issued), name, trusted))


def forget(server: str) -> None:
    """Remove the saved session for this server."""
    with _turn():
        _write(read().without(server))


def keeps(client: Client) -> bool:
    """Whether the client uses a saved session."""
    return client.authkey is not None and client.authkey == read().authkeys.get(client.server)


def read() -> SavedSessions:
    try:
        return msgspec.json.decode(_file().read_bytes(), type=SavedSessions)
    except (OSError, ValueError):  # msgspec's are such, too
        return SavedSessions()


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    """Within, no other process changes the saved sessions: of two at once, one would write what it read before."""
    file = _file().with_suffix(".lock")
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(kept: SavedSessions) -> None:
    """Save the sessions, readable to the user only. For whose turn it is."""
    from velocity import durable  # which most commands do not need

    durable.write(_file(), msgspec.json.encode(kept))


def _file() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "velocity" / "session.json"
