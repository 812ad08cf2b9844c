"""Listens at the former address of a node that became the server, and tells the former server that this one leads."""

from __future__ import annotations

import logging
from collections.abc import Callable

import grpc
import grpc.aio

from velocity.node.held import Context, Requests
from velocity.node.names import Identity
from velocity.node.server import OPTIONS, asked_by, check_controller, fail, reporting
from velocity.node.wire import Displaced

log = logging.getLogger(__name__)


class Sentinel(grpc.GenericRpcHandler):
    """Implements `velocity.hosts.membership.Beside`, with the certificate that the host had as a node.

    `term` and `leader` are this server's; `displaced` is called when a later one, of another copy, calls.
    """

    def __init__(
        self,
        address: str,
        identity: Identity,
        term: Callable[[], int],
        leader: str,
        displaced: Callable[[Displaced], None],
    ) -> None:
        self._address = address
        self._identity = identity
        self._term = term
        self._leader = leader
        self._displaced = displaced
        self._server: grpc.aio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        self._server = grpc.aio.server(options=OPTIONS)
        self._server.add_generic_rpc_handlers((self,))
        credentials = grpc.ssl_server_credentials(
            [(self._identity.key, self._identity.certificate)], self._identity.authority, require_client_auth=True
        )
        try:
            self.port = self._server.add_secure_port(self._address, credentials)
        except RuntimeError as error:
            log.warning("the server before this one will not find out that this one leads: %s", error)
            return
        await self._server.start()

    async def close(self) -> None:
        if self._server is not None:
            await self._server.stop(None)

    def service(self, _call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        return grpc.stream_stream_rpc_method_handler(self._refuse)

    async def _refuse(self, _requests: Requests, context: Context) -> None:
        with reporting(context) as fault:
            check_controller(context)
            term, leader = asked_by(context)
            if term > self._term():
                self._displaced(Displaced("a later server leads", term, leader))
            raise Displaced(
                "this machine is the server now, by `velocity promote`: it leads with a copy of your database",
                self._term(),
                self._leader,
            )
        await fail(context, fault)
