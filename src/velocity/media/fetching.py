"""Fetches media from other servers, as tasks."""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

from msgspec import UNSET, Struct, structs

from velocity import plan
from velocity.access.directory import Directory
from velocity.access.lasting import WhileAllowed
from velocity.access.sessions import Caller
from velocity.contract.fetching import FetchMedium
from velocity.contract.media import Content
from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem, Refused
from velocity.fair import FairGate
from velocity.fetching import urls
from velocity.fetching.port import Permitted, Source
from velocity.fetching.urls import Url
from velocity.media import checksums
from velocity.media.assignments import Assignments
from velocity.media.catalogue import Image, Images
from velocity.media.conversions import Conversions
from velocity.media.creation import Creation, still_creates
from velocity.media.reservations import Reservation, Reservations
from velocity.media.room import Room
from velocity.media.rules import Medium, described
from velocity.media.signatures import Signatures
from velocity.media.states import PoolStates
from velocity.media.transfer import Transfer
from velocity.storage.port import Blobs
from velocity.tasks.service import TaskProgress, Tasks
from velocity.uninterrupted import whole

AT_ONCE, OWN = 16, 4
"""Files fetched at a time: in total, and for one user. Others wait in turn."""


class _Fetch(Struct, frozen=True):
    """One fetch under way."""

    caller: Caller
    request: FetchMedium
    url: Url
    permitted: Permitted
    image: Image | None
    progress: TaskProgress
    right: WhileAllowed


class Fetching:
    """Fetches media. If one fails, nothing of it is left."""

    def __init__(
        self,
        source: Source,
        images: Images,
        blobs: Blobs,
        directory: Directory,
        assignments: Assignments,
        states: PoolStates,
        room: Room,
        reservations: Reservations,
        creation: Creation,
        conversions: Conversions,
        tasks: Tasks,
        signatures: Signatures,
    ) -> None:
        self._signatures = signatures
        self._source = source
        self._images = images
        self._blobs = blobs
        self._directory = directory
        self._assignments = assignments
        self._states = states
        self._room = room
        self._reservations = reservations
        self._creation = creation
        self._conversions = conversions
        self._tasks = tasks
        self._gate = FairGate(AT_ONCE, OWN)

    async def fetch(self, caller: Caller, request: FetchMedium) -> int:
        """Begin the task. Raises `Refused` before it begins; only the task contacts the other server."""
        request, image = self._resolved(request)
        self._directory.group(request.gid)
        url, permitted = urls.parse(str(request.url)), self._permitted(caller, request)
        self._source.check_literal(url, permitted)
        medium = Medium(
            mid=uuid4(), mpid=request.mpid, gid=request.gid, name=request.name, type=request.type, size=0,
            readonly=request.readonly, format="raw" if request.format is UNSET else request.format,
            content=Content(format="unknown"), origin=None if image is None else image.origin,
        )  # fmt: skip
        self._assignments.check_managed(caller, medium.gid, medium.mpid)
        await self._states.check(medium.mpid)
        still = still_creates(self._directory, self._assignments, caller, medium)
        async with AsyncExitStack() as stack:
            reservation = stack.enter_context(self._reservations.reserve(medium))
            taken = stack.enter_context(self._reservations.bytes_only(medium.gid, medium.mpid))
            held = stack.pop_all()

        async def work(progress: TaskProgress) -> UUID:
            async with held, WhileAllowed(still) as right, self._gate.place(caller.uid):
                fetch = _Fetch(caller, request, url, permitted, image, progress, right)
                if request.format is UNSET:
                    return await self._store(fetch, medium, reservation)
                return await self._import(fetch, medium, reservation, taken)

        async def prepare() -> None:
            self._directory.group(medium.gid)  # it may have been deleted meanwhile
            plan.step("create", "medium", medium.name, gid=medium.gid)
            plan.warns(["its size is not known before it is fetched: the quota may refuse it then"])

        def frees() -> None:
            reservation.frees()
            taken.frees()

        try:
            return await self._tasks.begin(caller, "fetch", medium.gid, medium.name, medium.mid, work, frees, prepare)
        except BaseException:
            await whole(held.aclose())
            raise

    def _resolved(self, request: FetchMedium) -> tuple[FetchMedium, Image | None]:
        """The request with the URL of an image of the catalogue, and that image."""
        if request.image is UNSET:
            if request.url is UNSET:
                raise Refused(Problem.MALFORMED, "url: this field is missing, or `image` in its place", field="url")
            return request, None
        for name in ("url", "sha256"):
            if getattr(request, name) is not UNSET:
                words = f"{name} and image exclude each other: leave one of them out"
                raise Refused(Problem.MALFORMED, words, field=name)
        image = self._images.get(request.image)
        format_ = "qcow2" if request.format is UNSET else request.format
        sha256 = UNSET if image.sha256 is None else image.sha256
        return structs.replace(request, url=image.url, sha256=sha256, format=format_), image

    def _permitted(self, caller: Caller, request: FetchMedium) -> Permitted:
        def private() -> bool:
            return self._directory.holds(caller.uid, Permission.HOST_REACH, request.gid)

        return Permitted(private, plain=request.sha256 is not UNSET, where=self._directory.path(request.gid))

    async def _store(self, fetch: _Fetch, medium: Medium, reservation: Reservation) -> UUID:
        """Store the bytes as they are."""
        async with AsyncExitStack() as held:
            transfer = await self._transfer(fetch, medium, reservation, held)
            content = await transfer.run()
            medium = described(replace(medium, size=transfer.size), content)
            await whole(self._creation.keep(medium, fetch.right.settle))  # from here on, the database decides
        return medium.mid

    async def _import(self, fetch: _Fetch, medium: Medium, reservation: Reservation, taken: Reservation) -> UUID:
        """Import the disk in the bytes, which are stored beside it meanwhile."""
        file = replace(medium, mid=uuid4(), format="raw")
        async with AsyncExitStack() as held:
            transfer = await self._transfer(fetch, file, taken, held)
            file = replace(file, content=await transfer.run(), size=transfer.size)
            held.push_async_callback(lambda: whole(self._creation.drop(file)))
            return await self._conversions.import_fetched(
                fetch.caller, file, medium, reservation, fetch.progress, fetch.right
            )

    async def _transfer(
        self, fetch: _Fetch, medium: Medium, reservation: Reservation, held: AsyncExitStack
    ) -> Transfer:
        wanted = None if fetch.request.sha256 is UNSET else checksums.pinned(fetch.request.sha256)
        if fetch.image is not None and fetch.image.checksums is not None:
            wanted = await self._published(fetch, fetch.image, fetch.image.checksums)
        permitted = replace(fetch.permitted, plain=wanted is not None)
        transfer = Transfer(
            self._source, self._blobs, self._room, fetch.url, permitted, medium, reservation, fetch.progress,
            fetch.right.check, wanted,
        )  # fmt: skip
        held.push_async_callback(lambda: whole(transfer.close()))
        return transfer

    async def _published(self, fetch: _Fetch, image: Image, where: str) -> checksums.Checksum:
        """The checksum that the distribution publishes, with its signature verified if it has one. Raises `Refused`."""
        url = urls.parse(where)
        read = await self._read(fetch, url)
        if image.keys is not None:
            signature = None if image.signature is None else await self._read(fetch, urls.parse(image.signature))
            read = await self._signatures.signed(read, signature, Path(image.keys), url.host)
        name = fetch.url.target.partition("?")[0].rpartition("/")[2]
        found = checksums.find(read.decode("utf-8", "replace"), name, f"the checksums of {url.host}")
        if found is None:
            raise _no_checksum(url, f"{name} does not stand there")
        return found

    async def _read(self, fetch: _Fetch, url: Url) -> bytes:
        """Read a small file."""
        read = b""
        async with self._source.open(url, fetch.permitted, None) as answer, aclosing(answer.pieces) as pieces:
            async for piece in pieces:
                fetch.right.check()
                read += piece
                if len(read) > checksums.LARGEST:
                    raise _no_checksum(url, "it is too large for a file of checksums")
        return read


def _no_checksum(url: Url, why: str) -> Refused:
    words = (
        f"the checksum that {url.host} publishes for the file is not known: {why}; tell the maintainer of the catalogue"
    )
    return Refused(Problem.WRONG_CHECKSUM, words, field="image")
