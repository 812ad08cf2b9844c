"""Makes a machine a node: its request, and the checks of the answer."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from velocity import durable
from velocity.config import Settings
from velocity.contract import joining
from velocity.contract.joining import NodeToken
from velocity.contract.nodes import Joined, JoinNode
from velocity.hosts.addresses import urls
from velocity.hosts.members import Member, Sealed, Signed
from velocity.node import certificates, identity, places
from velocity.node.copies import KeptCopies
from velocity.node.identity import NodeIdentity

Sign = Callable[[Sealed, str, UUID], Signed]
WILD = ("0.0.0.0", "[::]")  # noqa: S104 - compared, not bound


class BadAnswer(Exception):
    """The answer does not come from the server that made the token."""


class Draft(Struct, frozen=True):
    """A request with one token, kept until the answer has come: repeating it sends the same request."""

    token: str
    uuid: UUID
    key: str
    request: str


def begin(data_dir: Path, token: NodeToken) -> Draft:
    """Stored before it is sent, so that it can be repeated if the answer is lost."""
    file, name = places.draft(data_dir), joining.name(token.secret)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if file.exists():
        kept = durable.read(file, Draft)
        if kept.token == name:
            return kept
    key = certificates.new_key()
    uuid = identity.machine_of(data_dir) or uuid4()
    draft = Draft(name, uuid, key.decode(), certificates.request(key).decode())
    durable.write(file, msgspec.json.encode(draft))
    return draft


def asked(draft: Draft, token: NodeToken, name: str, address: str) -> JoinNode:
    unproved = JoinNode(
        token=draft.token, proof="0" * 64, uuid=draft.uuid, name=name, address=address, request=draft.request
    )
    return replace(unproved, proof=joining.proof(joining.key(token.secret), unproved))


def accept(data_dir: Path, draft: Draft, token: NodeToken, answer: Joined) -> NodeIdentity:
    """This machine is a node from now on, of the server that made the token. Raises `BadAnswer`."""
    if not joining.proves(joining.key(token.secret), answer):
        raise BadAnswer("it does not come from the server that made the token: somebody in between has changed it")
    try:
        if certificates.fingerprint(answer.authority.encode()) != token.authority:
            raise BadAnswer("its authority is another one than the token names")
        begins, expires = certificates.validity(answer.certificate.encode())
        serial = f"{certificates.serial_of(answer.certificate.encode()):x}"
        own = NodeIdentity(
            uuid=draft.uuid, host=answer.host, name=answer.name, mpid=answer.mpid, controllers=token.urls,
            key=draft.key, certificate=answer.certificate, authority=answer.authority, serial=serial,
            begins=begins, expires=expires,
        )  # fmt: skip
        certificates.check(own.shown)
    except ValueError as error:
        raise BadAnswer(str(error)) from None
    places.term(data_dir).unlink(missing_ok=True)  # terms may begin anew, as after a lost database
    KeptCopies(places.copies(data_dir)).drop()  # they are of another server's database, or of before
    identity.write(data_dir, own)
    places.draft(data_dir).unlink(missing_ok=True)
    return own


def join_oneself(settings: Settings, own: Member, authority: Sealed, sign: Sign) -> Member:
    """Prepare the server's own host to be a host of the server after this one. Blocks: call it in a thread.

    What it has that is still valid stays. Raises `OSError`, `msgspec.MsgspecError`.
    """
    assert own.uuid is not None, "it was claimed"
    has = identity.read(settings.data_dir)
    same = has is not None and (has.serial, has.authority) == (own.serial, authority.certificate)
    if has is not None and same and not certificates.is_due(has.shown, datetime.now(UTC)):
        return own
    key = certificates.new_key()
    signed = sign(authority, certificates.request(key).decode(), own.uuid)
    begins, expires = certificates.validity(signed.certificate.encode())
    joined = NodeIdentity(
        uuid=own.uuid, host=own.host, name=own.name, mpid=own.mpid, controllers=[settings.base_url], key=key.decode(),
        certificate=signed.certificate, authority=authority.certificate, serial=signed.serial, begins=begins,
        expires=expires,
    )  # fmt: skip
    identity.write(settings.data_dir, joined)
    address = own.address or _reached_at(settings)
    return dataclasses.replace(own, serial=signed.serial, renewing="", address=address, joined=int(time.time()))


def _reached_at(settings: Settings) -> str:
    """Where the next server may find this machine: its address on the way to the database."""
    if settings.node_listen.rpartition(":")[0] not in WILD:
        return settings.node_listen
    with contextlib.suppress(OSError):
        if urlsplit(settings.database).hostname is not None:
            address = own_address(settings.database, settings.node_listen)
            if not address.startswith(("127.", "[::1]")):
                return address
    found = urls("node", (WILD[0], settings.node_port))
    return found[0].partition("://")[2]


def own_address(url: str, listen: str) -> str:
    """Where the server finds this machine: its address on the way there, and the port of `node_listen`.

    Sends nothing. Raises `OSError` if there is no route to the server.
    """
    host, _, port = listen.rpartition(":")
    if host not in WILD:
        return listen
    there = urlsplit(url)
    target = (there.hostname or "", there.port or 80)
    family, kind, protocol, _, address = socket.getaddrinfo(*target, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as way:
        way.connect(address)
        mine = str(way.getsockname()[0])
    return f"{f'[{mine}]' if ':' in mine else mine}:{port}"
