"""A connection to a server; requests and responses are the types of the contract."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import httpx
import msgspec

from velocity import __version__
from velocity.client.errors import ApiError, ClientError, PlanOnly, api_error, decoded, no_answer
from velocity.client.methods import Methods
from velocity.client.renewal import HeldSession, OwnSession, Renewal, SessionStore
from velocity.client.trust import Verify, trusted
from velocity.contract import auth
from velocity.contract.operation import Change, Nothing, Operation, Wire

if TYPE_CHECKING:  # only a few methods need these, and import them
    from velocity.client.console import Console
    from velocity.client.upload import Progress
    from velocity.contract import media
    from velocity.contract.consoles import ConsoleTicket
    from velocity.contract.events import Event
    from velocity.contract.plan import Plan

Request = TypeVar("Request", bound=Wire)
Response = TypeVar("Response", bound=Wire)
LOCAL = "http://localhost"
"""The URL for connections over a Unix socket."""
AGENT = f"velocity/{__version__} python-httpx/{httpx.__version__}"
"""The User-Agent, which the list of sessions shows."""
TIMEOUT = httpx.Timeout(120.0, connect=5.0, read=330.0)
"""Seconds. A start may wait for its turn, and a program in a guest may run for minutes; all else responds sooner."""


class Client(Methods):
    """A connection to a server. Not for use by several threads at once.

    Methods raise `ApiError` if the server refuses, `Unreachable` if it does not respond, and `Untrusted` if TLS fails.
    While `plans` is a list, nothing is changed: the plan of each change is appended to it, and a method that would have
    to return the change's result raises `PlanOnly`. `verify`: see `velocity.client.trust`. With `uds`, the server is
    reached over that Unix socket, without TLS, and `server` is only its name.
    """

    def __init__(
        self,
        server: str,
        authkey: str | None = None,
        *,
        verify: Verify = True,
        uds: Path | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.server = server.rstrip("/")
        self.authkey = authkey
        self.plans: list[Plan] | None = None
        self._renewal: Renewal | None = None
        self._uds = uds
        self._trust = trusted(LOCAL if uds else server, verify)
        if uds is not None:
            transport = httpx.HTTPTransport(verify=self._trust, uds=str(uds))
        self._http = httpx.Client(
            base_url=LOCAL if uds else self.server,
            headers={"user-agent": AGENT},
            timeout=TIMEOUT,
            verify=self._trust,
            transport=transport,
            trust_env=False,
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._renewal is not None:
            self._renewal.stop()
        self._http.close()

    def stay_signed_in(self, session: HeldSession, store: SessionStore | None = None) -> None:
        """Use this session, and renew it whenever half of its lifetime is over, until the client is closed.

        `store`: where other processes find the new authkey, as the old one stops working at once.
        """
        self.authkey = session.authkey
        self._renewal = Renewal(session, store or OwnSession(session), self._renew, self._use)

    def _renew(self, authkey: str) -> auth.IssuedAuthkey:
        headers = {"authorization": f"Bearer {authkey}", "content-type": "application/json"}
        return msgspec.json.decode(self._ask("PATCH", auth.RENEW.path, b"{}", headers).content, type=auth.IssuedAuthkey)

    def _use(self, authkey: str) -> None:
        self.authkey = authkey

    def may_ask_again(self, used: str | None, error: ApiError) -> bool:
        """Whether the request was refused because its authkey was renewed meanwhile."""
        return error.status == 401 and used is not None and self._renewal is not None and self._renewal.other(used)

    def call(
        self, operation: Operation[Request, Response], request: Request, *, idempotency_key: str | None = None
    ) -> Response:
        """Call any operation. With an idempotency key, repeating a change is safe."""
        if self.plans is not None and isinstance(request, Change):
            self.plans.append(self.plan(operation, request))
            if operation.response is Nothing:
                return operation.response()
            raise PlanOnly
        content = msgspec.json.encode(request)
        headers = {} if idempotency_key is None else {"idempotency-key": idempotency_key}
        answer = self.send(operation.method.name, operation.path, content, headers)
        return decoded(answer, operation.response)

    def pages(self, operation: Operation[Request, Response], request: Request) -> Iterator[Response]:
        """All of a list, page by page, with the request's `limit` or the largest pages.

        What exists all the time appears exactly once, and nothing appears twice, whatever is created and deleted
        meanwhile.
        """
        wanted: Request | None = operation.first_page(request)
        while wanted is not None:
            answer = self.call(operation, wanted)
            yield answer
            wanted = operation.next_page(wanted, answer)

    def plan(self, operation: Operation[Request, Response], request: Request) -> Plan:
        """What a change would do and use; nothing is changed. Raises `ApiError` as the change would."""
        from velocity.contract.plan import Plan

        content = msgspec.json.encode(msgspec.structs.replace(request, plan=True))
        return decoded(self.send(operation.method.name, operation.path, content), Plan)

    def send(self, method: str, path: str, content: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
        """Send a raw request; returns the response's body."""
        return self._exchange(method, path, content, {"content-type": "application/json", **(headers or {})})

    def upload(
        self,
        file: Path,
        *,
        mpid: int,
        gid: int,
        name: str,
        type: str,
        readonly: bool = False,
        sha256: str | None = None,
        for_import: bool = False,
        progress: Progress = lambda done, total: None,
        patience: float = 60.0,
    ) -> media.MediumCreated:
        """Upload a file in constant memory; `progress` gets the bytes sent and the total.

        Continues after interruptions, until nothing has got through for `patience` seconds, and continues an unfinished
        upload of the same file and name by another process. `for_import`: no medium is created; the result is for
        `import_medium(upload=...)` or `end_upload`.
        """
        from velocity.client.upload import Upload

        if self.plans is not None:
            self.plans.append(self._plan_upload(file, mpid=mpid, gid=gid, name=name, type=type, readonly=readonly))
            raise PlanOnly
        return Upload(self.exchange, file, progress, patience).run(
            {"mpid": mpid, "gid": gid, "name": name, "type": type, "readonly": "true" if readonly else "false"}
            | ({} if sha256 is None else {"sha256": sha256})
            | ({"for_import": "true"} if for_import else {})
        )

    def _plan_upload(self, file: Path, *, readonly: bool, name: str, **fields: object) -> Plan:
        from urllib.parse import quote

        from velocity.client.upload import size_of
        from velocity.contract import media
        from velocity.contract.plan import Plan

        told = {"plan": "true", "readonly": "true" if readonly else "false", "name": quote(name), **fields}
        headers = {f"x-velocity-{key}": str(value) for key, value in told.items()}
        headers["x-velocity-length"] = str(size_of(file))
        return decoded(self._exchange("PUT", media.UPLOAD.path, b"", headers), Plan)

    def download(
        self,
        mid: UUID,
        file: Path,
        *,
        progress: Progress = lambda done, total: None,
        patience: float = 60.0,
    ) -> None:
        """Download a medium into a new file, which gets its name when it is complete.

        Continues after interruptions, until nothing has arrived for `patience` seconds, and starts over if the medium
        has changed.
        """
        from velocity.client.download import Download, new_file

        with new_file(file) as target:
            Download(self, mid, target, progress, patience).run()

    def console(self, ticket: ConsoleTicket, *, control: bool = False) -> Console:
        """Open the websocket of a ticket; with `control`, a serial console reports who types."""
        from velocity.client.console import Console

        return Console(self.server, ticket.path, control=control, trust=self._trust, uds=self._uds)

    def events(self, *, patience: float = 60.0) -> Generator[Event, None, None]:
        """What the caller may see, then each change, endlessly: see docs/events.md.

        Reconnects without losing or repeating events, until the server has not responded for `patience` seconds. Raises
        `ApiError` when the session ends.
        """
        from velocity.client import events as following
        from velocity.contract.events import WATCH

        stream = following.Following(patience)
        while True:
            error: ClientError | None = None
            try:
                with self._http.stream(
                    "GET", WATCH.path, headers=stream.headers(self.authkey), timeout=following.TIMEOUT
                ) as response:
                    if not response.is_success:
                        response.read()
                        raise api_error(response)
                    for piece in response.iter_bytes():
                        yield from stream.feed(piece)
            except (httpx.HTTPError, httpx.InvalidURL) as broken:
                error = following.broken(self.server, broken)
            except ApiError as refused:
                error = refused
            time.sleep(stream.broke(error))

    def stream(self, path: str, headers: dict[str, str]) -> AbstractContextManager[httpx.Response]:
        """A GET with the authkey, whose response is read as it arrives."""
        if self.authkey is not None:
            headers = {"authorization": f"Bearer {self.authkey}", **headers}
        return self._http.stream("GET", path, headers=headers)

    def _exchange(self, method: str, path: str, content: bytes | Iterator[bytes], headers: dict[str, str]) -> bytes:
        return self.exchange(method, path, content, headers).content

    def exchange(
        self, method: str, path: str, content: bytes | Iterator[bytes], headers: dict[str, str]
    ) -> httpx.Response:
        """A request of any protocol, with the authkey; returns the response if it succeeds."""
        used = self.authkey
        signed = headers if used is None else {"authorization": f"Bearer {used}", **headers}
        try:
            return self._ask(method, path, content, signed)
        except ApiError as error:
            if not self.may_ask_again(used, error) or not isinstance(content, bytes):
                raise
        return self.exchange(method, path, content, headers)

    def _ask(self, method: str, path: str, content: bytes | Iterator[bytes], headers: dict[str, str]) -> httpx.Response:
        try:
            response = self._http.request(method, path, content=content, headers=headers)
        except httpx.ConnectError as error:
            nobody = f"no server responds at {self.server} ({error}): start one with `velocity serve`, or specify "
            raise no_answer(self.server, error, nobody + "another with --server") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._lost(error) from None
        if response.is_success:
            return response
        raise api_error(response)

    def _lost(self, error: Exception) -> ClientError:
        return no_answer(
            self.server, error, f"the connection to {self.server} was lost: {error or type(error).__name__}"
        )
