"""What `velocity doctor` checks with several hosts: on the server the other hosts; on a node its connection."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, UnsetType

from velocity.cli.finding import Finding
from velocity.cli.words import clean, moment
from velocity.config import Settings
from velocity.contract.nodes import NodeInfo
from velocity.contract.problems import Refused
from velocity.hosts.fencing import FenceAgents
from velocity.installation import displaced
from velocity.node import identity, places
from velocity.node.copies import KeptCopies
from velocity.node.identity import NodeIdentity

WAIT = 2.0
"""Seconds to wait for a connection."""
SILENCE = "no answer"
HTTP, HTTPS = 80, 443
OLD_COPY = 600
"""Seconds after which a copy of the database is reported as old."""


def hosts(nodes: list[NodeInfo]) -> Iterator[Finding]:
    """Each other host, as the server knows it, and whether it can be reached from here."""
    for one in nodes:
        if one.own:
            continue
        what = f"host {clean(one.name)}"
        if one.message is UNSET:
            yield Finding(what, "ok", f"online at {one.address}, with Velocity {one.version}")
        elif one.state == "online":
            yield Finding(what, "limited", clean(one.message))
        else:
            yield Finding(what, "limited", f"{clean(one.message)}{_port(one.address)}")


def _port(address: str | UnsetType) -> str:
    """Why the network cannot reach a host that does not respond; empty if its address is unknown."""
    if isinstance(address, UnsetType) or not address:
        return ""
    host, _, port = address.rpartition(":")
    why = unreachable(host.strip("[]"), int(port))
    if why:
        return f"; from here, {address} cannot be reached: {why}"
    return f"; {address} accepts connections, so no firewall blocks it: see the log of velocity-node there"


def node(settings: Settings, *, leads: bool = False) -> Iterator[Finding]:
    """Whether this machine is a host of a server on another machine, or has to become one, and can be reached by it.

    `leads`: its own server does so now, and so another one would only afterwards.
    """
    try:
        own = identity.read(settings.data_dir)
    except (OSError, msgspec.MsgspecError) as error:
        yield Finding("node", "missing", f"this node's identity cannot be read ({error}): let it join again")
        return
    if own is None:
        if words := displaced(settings.data_dir):
            yield Finding("server", "missing", words)
        return
    yield _certificate(own)
    if leads:
        yield Finding("standby", "ok", "this server leads; when another one does, this machine is a host of that one")
        return
    host, _, port = settings.node_listen.rpartition(":")
    if why := unreachable("127.0.0.1" if host == "0.0.0.0" else host.strip("[]"), int(port)):  # noqa: S104 - a comparison
        cure = "let this machine's firewall pass it" if why == SILENCE else "`systemctl start velocity-node`"
        text = f"nobody listens on {settings.node_listen} ({why}): {cure}"
        yield Finding("node port", "limited", text)
    else:
        text = f"listens on {settings.node_listen}, which the server alone has to reach"
        yield Finding("node port", "ok", text)
    yield _server(own.controllers[0])
    yield from _kept_copy(settings)


def _certificate(own: NodeIdentity) -> Finding:
    begins, until = (datetime.fromtimestamp(at).astimezone().date() for at in (own.begins, own.expires))
    cure = f"let it join again (`velocity node token --again {own.name}` on the server, `velocity node join` here)"
    if own.begins > time.time():
        text = f"the certificate of the host {own.name} begins on {begins}: this machine's clock is behind, set it"
        return Finding("node", "missing", text)
    if own.expires <= time.time():
        text = f"the certificate of the host {own.name} ended on {until}: {cure}, unless this machine's clock is ahead"
        return Finding("node", "missing", text)
    return Finding("node", "ok", f"the host {own.name} of {own.controllers[0]}, with a certificate until {until}")


def _server(url: str) -> Finding:
    """The server, which a node does not need once it has joined."""
    parts = urlsplit(url)
    port = parts.port or (HTTPS if parts.scheme == "https" else HTTP)
    if why := unreachable(parts.hostname or "", port):
        return Finding("server", "limited", f"{url} cannot be reached ({why}): only `velocity node join` needs it")
    return Finding("server", "ok", f"{url} takes connections")


def unreachable(host: str, port: int) -> str:
    """Why a connection fails; empty if it succeeds."""
    try:
        with contextlib.closing(socket.create_connection((host, port), WAIT)):
            return ""
    except TimeoutError:
        return SILENCE
    except OSError as error:
        return error.strerror or str(error)


def _kept_copy(settings: Settings) -> Iterator[Finding]:
    """How old this host's copy of the server's database is, if it keeps one."""
    try:
        newest = next(iter(KeptCopies(places.copies(settings.data_dir)).all()), None)
    except (OSError, msgspec.MsgspecError) as error:
        yield Finding("copy", "limited", f"the copies of the server's database cannot be read: {error}")
        return
    if newest is not None:
        at = moment(newest.at)
        old = time.time() - newest.at > OLD_COPY
        text = f"the server's database as of {at}, with all its secrets: `velocity promote` makes this host the server"
        yield Finding("copy", "limited" if old else "ok", f"{text}{'; the server sends none any more' if old else ''}")


def _copied(one: NodeInfo) -> str:
    return one.name if isinstance(one.copied, UnsetType) else f"{one.name} (as of {moment(one.copied)})"


def copies(hosts: Sequence[NodeInfo]) -> Iterator[Finding]:
    """Whether another host could take over the server's role."""
    keepers = [one for one in hosts if one.keeps_copy is True]
    late = [
        f"the copy on {one.name} is out of date{'' if one.copy_message is UNSET else f' ({one.copy_message})'}"
        for one in keepers
        if isinstance(one.copied, UnsetType) or time.time() - one.copied > OLD_COPY
    ]
    if keepers:
        text = f"the database is copied to {', '.join(map(_copied, keepers))}"
        yield Finding("copies", "limited" if late else "ok", "; ".join([text, *late]))
    elif len(hosts) > 1:
        text = (
            "no other host keeps a copy of the database, with which it could become the server: `velocity node set HOST"
        )
        yield Finding("copies", "limited", f"{text} --keeps-copy`")


def fencing(settings: Settings, hosts: Sequence[NodeInfo]) -> Iterator[Finding]:
    """Whether a lost host can be proven to be off without a person."""
    agents = FenceAgents([Path(one) for one in settings.fence_agents])
    for one in hosts:
        if one.own:
            continue
        if isinstance(one.fence, UnsetType):
            text = (
                f"the host {one.name} has no fence agent: when it is lost, its VMs wait until somebody says that it is "
            )
            but = "" if one.rbd_addresses is UNSET else "; those that write to RBD alone are freed by their cluster"
            yield Finding("fencing", "limited", f"{text}off (`velocity node fence` sets one){but}")
            continue
        try:
            agents.find(one.fence.agent)
        except Refused as refused:
            yield Finding("fencing", "limited", f"the host {one.name} cannot be fenced: {refused.message}")
        else:
            yield Finding("fencing", "ok", f"the host {one.name} is powered off by {one.fence.agent} when it is lost")
