"""The controller's side: signs certificates, and connects to nodes."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from uuid import UUID

from velocity.contract.problems import Problem, Refused
from velocity.hosts.members import Member, NodeCalls, Sealed, Signed
from velocity.hypervisor.port import HostFacts, HostId, Hypervisor
from velocity.node import certificates, remote
from velocity.node.certificates import Authority, BadRequest
from velocity.node.names import CONTROLLER, Identity, node_name
from velocity.node.remote import Connection
from velocity.node.wire import Displaced
from velocity.storage.port import Storage


class NodeDialing:
    """Implements `velocity.hosts.members.Dialing`. `term` and `leader`: see `Connection`.

    `displaced` is called with a host that has served a later leader.
    """

    def __init__(self, term: Callable[[], int], displaced: Callable[[HostId, Displaced], None], leader: str) -> None:
        self._term = term
        self._displaced = displaced
        self._leader = leader
        self._own: Identity | None = None

    def new_authority(self) -> Sealed:
        made = Authority.make(_now())
        return Sealed(made.certificate.decode(), made.key.decode())

    def renewed(self, authority: Sealed) -> Sealed:
        one = _opened(authority)
        return (
            replace(authority, certificate=one.renewed(_now()).certificate.decode())
            if one.is_due(_now())
            else authority
        )

    def fingerprint(self, authority: Sealed) -> str:
        return certificates.fingerprint(authority.certificate.encode())

    def sign(self, authority: Sealed, request: str, uuid: UUID) -> Signed:
        serial = certificates.new_serial()
        name = node_name(uuid, serial)
        try:
            made = _opened(authority).sign(request.encode(), name, _now(), serial=serial)
        except BadRequest:
            raise Refused(
                Problem.NOT_A_CERTIFICATE_REQUEST,
                "the certificate request is invalid, or not signed by its own key: `velocity node join` makes one",
                field="request",
            ) from None
        return Signed(made.decode(), f"{serial:x}")

    def dial(self, member: Member, authority: Sealed, known: HostFacts) -> NodeLink:
        uuid = member.uuid
        assert uuid is not None, "the server's own host is not dialled"

        def name(serial: str) -> str:
            return node_name(uuid, int(serial, 16))

        own = self._identity(authority)
        displaced = partial(self._displaced, member.host)
        connection = Connection(member.address, name(member.serial), own, self._term, displaced, self._leader)
        return NodeLink(connection, known, name, lambda: self._identity(authority))

    def _identity(self, authority: Sealed) -> Identity:
        """The controller's own identity, renewed when a third of its time is left; its key stays in this process."""
        now = _now()
        if (
            self._own is None
            or certificates.is_due(self._own, now)
            or self._own.authority != authority.certificate.encode()
        ):
            self._own = _opened(authority).identity(CONTROLLER, now)
        return self._own


class NodeLink:
    """Implements `velocity.hosts.members.Link`."""

    def __init__(
        self, connection: Connection, known: HostFacts, name: Callable[[str], str], own: Callable[[], Identity]
    ) -> None:
        self._connection = connection
        self._name = name
        self._own = own
        self.node: NodeCalls = remote.node(connection)
        self.hypervisor: Hypervisor = remote.hypervisor(connection, known)
        self.storage: Storage = remote.storage_of(connection)

    async def redirect(self, address: str, serial: str) -> None:
        await self._connection.redirect(address, self._name(serial), self._own())

    async def close(self) -> None:
        await self._connection.close()


def _opened(authority: Sealed) -> Authority:
    return Authority(authority.certificate.encode(), authority.key.encode())


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
