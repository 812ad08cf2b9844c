"""How an operation of the API is declared, and what is checked when the declaration is imported."""

from __future__ import annotations

import enum
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import islice
from types import MappingProxyType
from typing import Annotated, Any, Generic, TypeVar, cast
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from velocity.contract.permissions import Permission
from velocity.contract.problems import Problem


class Wire(Struct, frozen=True, kw_only=True):
    """The base of requests, responses and their parts: absent fields are UNSET, never null."""


class Nothing(Wire, frozen=True):
    """An empty object."""


class Change(Wire, frozen=True, kw_only=True):
    """A request that changes something or, with `plan`, asks what it would change."""

    plan: (
        Annotated[bool, Meta(description="true: change nothing, and answer with a `Plan` of what would change")]
        | UnsetType
    ) = UNSET


Id = TypeVar("Id", int, str, UUID)
Item = TypeVar("Item")
PAGE = 1000
"""The largest page."""


class Paged(Wire, Generic[Id], frozen=True, kw_only=True):
    """A request for a list: all of it, in its own order; with `limit` or `before`, one page.

    Pages start with the highest id. As ids do not change, what exists during a whole traversal appears in it exactly
    once, and nothing appears twice, whatever is created and deleted meanwhile.
    """

    limit: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=PAGE,
                description="the largest number of entries in the page, highest id first; fewer only if there are "
                "no more; absent: all",
            ),
        ]
        | UnsetType
    ) = UNSET
    before: (
        Annotated[
            Id, Meta(description="only entries with a lower id: the id of the last entry so far gives the next page")
        ]
        | UnsetType
    ) = UNSET

    @property
    def is_page(self) -> bool:
        return self.limit is not UNSET or self.before is not UNSET

    def page(
        self,
        items: Iterable[Item],
        key: Callable[[Item], Id | int] | None = None,
        shown: Callable[[Item], bool] | None = None,
    ) -> list[Item]:
        """The `items` of the requested page.

        `key` gives an item's id (a UUID's `int`); without it, the items are ids. `shown` says which items the caller
        may see; for a page, it is called only until the page is full.
        """
        if self.is_page:
            of = cast(Any, key)
            up = sorted(items, key=of)
            before = self.before.int if isinstance(self.before, UUID) else self.before
            end = len(up) if before is UNSET else bisect_left(up, before, key=of)
            items = up[:end][::-1]
        return list(islice(filter(shown, items) if shown else items, None if self.limit is UNSET else self.limit))


Request = TypeVar("Request", bound=Wire)
Response = TypeVar("Response", bound=Wire)


class Method(enum.Enum):
    """The methods of the contract, with their digits in error codes."""

    POST = 1
    PUT = 2
    DELETE = 3
    PATCH = 4


class On(enum.Enum):
    """Where a permission is looked for, in words that end a sentence; `field` is the request's field with the id."""

    SOMEWHERE = "somewhere"
    ROOT = "on the root group"
    GROUP = "on the group"
    PARENT_GROUP = "on the parent group"
    GROUPS_PARENT = "on the parent of the group"
    USER = "on a group that the user is a member of"
    ALL_OF_USER = "on every group that the user is a member of, and on the user's home"
    HOME = "on the user's home"
    MEDIUM = "on the medium's group"
    VM = "on the VM's group"
    TASK = "on the task's group"

    @property
    def field(self) -> str | None:
        return _FIELDS.get(self)


_FIELDS = {
    On.GROUP: "gid",
    On.PARENT_GROUP: "parent_gid",
    On.GROUPS_PARENT: "gid",
    On.USER: "uid",
    On.ALL_OF_USER: "uid",
    On.HOME: "uid",
    On.MEDIUM: "mid",
    On.VM: "vmid",
    On.TASK: "tid",
}


class Hides(enum.Enum):
    """Who is told that the object does not exist, with a 404."""

    NOBODY = "nobody"
    STRANGERS = "users with no permission at all on its group"
    NON_VIEWERS = "users without velocity.vm.view on its group"


@dataclass(frozen=True)
class Anyone:
    """No permission is needed; the reason says why that is right."""

    reason: str


@dataclass(frozen=True)
class SignedIn:
    """Any valid authkey will do; the reason says why that is right."""

    reason: str


@dataclass(frozen=True)
class Holds:
    """The caller must hold the permission there, directly or by inheritance.

    A missing object counts as group 0's, so that callers cannot find out what exists elsewhere. `oneself`: users need
    no permission for themselves; `own`: they need none for what they began.
    """

    permission: Permission
    on: On
    hides: Hides = Hides.NOBODY
    oneself: bool = False
    own: bool = False


Needs = Anyone | SignedIn | Holds


@dataclass(frozen=True)
class Given:
    """What a request with this field needs, instead of what the operation needs."""

    field: str
    needs: Holds


class Cookie(enum.Enum):
    """How far an operation accepts the cookie of a browser's session, if no other authkey is sent."""

    GUARDED = "an authkey, together with the session's csrf token in x-velocity-csrf"
    BARE = "an authkey by itself: nothing is changed"
    IGNORED = "nothing"


@dataclass(frozen=True)
class Failure:
    """One declared failure: code and status for a problem that an area may raise."""

    code: int
    status: int
    problem: Problem
    text: str


COMMON = (
    Failure(
        400,
        400,
        Problem.MALFORMED,
        "malformed JSON, a missing field, or a field with the wrong type or an invalid value",
    ),
    Failure(100, 401, Problem.UNAUTHENTICATED, "a missing, unknown or expired authkey"),
    Failure(
        101, 403, Problem.FOREIGN_PAGE, "with a cookie: the request does not come from the web page of this server"
    ),
    Failure(404, 404, Problem.NO_SUCH_ROUTE, "no such route"),
    Failure(405, 405, Problem.METHOD_NOT_ALLOWED, "the route does not support this method"),
    Failure(
        408, 408, Problem.TOO_SLOW, "the headers, or a body without an authkey in a header, took longer than 10 seconds"
    ),
    Failure(
        409,
        409,
        Problem.REPEATED,
        "the Idempotency-Key was already used for another request, or its response is not kept",
    ),
    Failure(413, 413, Problem.BODY_TOO_LARGE, "the body is larger than the limit"),
    Failure(429, 429, Problem.TOO_MANY_ATTEMPTS, "too many attempts, or too many connections from one address"),
    Failure(431, 431, Problem.HEAD_TOO_LARGE, "the headers are larger than 64 KiB, or have more than 256 lines"),
    Failure(
        503,
        503,
        Problem.UNAVAILABLE,
        'the server is shutting down or stands by, or the database does not respond; with `outcome: "unknown"`, the '
        "change may have been made",
    ),
)
"""The failures of every operation; their numbers are in the contract's "Conventions"."""

INTERNAL = 500
"""Code and status of our own bugs; messages never show a traceback or a path of the host."""


@dataclass(frozen=True)
class Alias:
    """A name that existing clients send for a field; `inside` is the list whose elements contain it."""

    sent: str
    means: str
    inside: str | None = None


@dataclass(frozen=True, kw_only=True)
class Operation(Generic[Request, Response]):
    """One operation. `needs` and `failures` have no default, so that nobody forgets them.

    `streams`: the body is a file, and the fields are sent as headers. `secret`: the response contains what is not
    stored, so a repeated request does not get it again. `unkept`: the response is not stored, and repeated requests are
    refused. `lists`: the lists in the response that come in pages, with the field that is their elements' id.

    Raises `TypeError` at import if the declaration is wrong.
    """

    name: str
    summary: str
    method: Method
    path: str
    route: int
    request: type[Request]
    response: type[Response]
    needs: Needs
    failures: tuple[Failure, ...]
    given: Given | None = None
    aliases: tuple[Alias, ...] = ()
    streams: bool = False
    ours: bool = False
    cookie: Cookie = Cookie.GUARDED
    secret: bool = False
    unkept: bool = False
    lists: Mapping[str, str] = field(default_factory=dict, hash=False)
    by_problem: Mapping[Problem, Failure] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        declared = {failure.problem: failure for failure in self.failures}
        if len(declared) != len(self.failures):
            raise TypeError(f"{self.name}: a problem is declared twice")
        for failure in self.failures:
            self._check_number(failure)
        self._check_plan()
        self._check_lists()
        for needs in [self.needs, *([self.given.needs] if self.given else [])]:
            self._check_needs(needs, set(declared))
        known = {failure.problem: failure for failure in COMMON} | declared
        object.__setattr__(self, "by_problem", MappingProxyType(known))

    def _check_number(self, failure: Failure) -> None:
        HTTPStatus(failure.status)
        prefix = f"{self.route}{self.method.value}"
        rest = str(failure.code).removeprefix(prefix)
        if rest == str(failure.code) or len(rest) != 2:
            raise TypeError(f"{self.name}: {failure.code} is not {prefix}<kind><n>")
        if self.streams:
            return  # headers have the numbers 10 to 16 whatever the method, as the contract lists them
        conflicts = {403, 406, 409, 413}
        statuses = {"0": {401, 403}, "1": {404}, "2": conflicts, "3": {500}}
        statuses |= dict.fromkeys("456789", conflicts)  # beyond 2; 8 and 9 are for several hosts
        if failure.status not in statuses.get(rest[0], set()):
            raise TypeError(f"{self.name}: kind {rest[0]} of {failure.code} does not go with status {failure.status}")

    def _check_plan(self) -> None:
        if issubclass(self.request, Change) is (self.method is Method.POST):
            raise TypeError(f"{self.name}: a {self.method.name} and {self.request.__name__} do not go together")

    def _check_lists(self) -> None:
        there = all(hasattr(self.response, name) for name in self.lists)
        if not there or bool(self.lists) is not issubclass(self.request, Paged):
            raise TypeError(f"{self.name}: {self.request.__name__} and the lists {list(self.lists)} do not go together")

    def first_page(self, request: Request) -> Request:
        """The request for the first page of the lists, with the largest page if it names no limit."""
        return replace(request, limit=PAGE) if cast(Paged[Any], request).limit is UNSET else request

    def next_page(self, request: Request, answer: Response) -> Request | None:
        """The request for the next page; None if there is none."""
        paged = cast(Paged[Any], request)
        ids = [getattr(one, name) for field, name in self.lists.items() for one in getattr(answer, field) or ()]
        if paged.limit is UNSET or len(ids) < paged.limit:
            return None
        return replace(request, before=min(ids))

    def needed_by(self, request: object) -> Needs:
        """What the operation needs for this request; for explanations without the field, as if it were present."""
        given = self.given
        return self.needs if given is None or getattr(request, given.field, None) is UNSET else given.needs

    def _check_needs(self, needs: Needs, declared: set[Problem]) -> None:
        if not isinstance(needs, Holds):
            return
        if needs.on.field and not hasattr(self.request, needs.on.field):
            raise TypeError(f"{self.name}: its request has no field {needs.on.field}")
        wanted = {NOT_FOUND[needs.on]} if needs.on in NOT_FOUND else set()
        if needs.hides is not Hides.NON_VIEWERS or needs.permission is not Permission.VM_VIEW:
            wanted.add(Problem.NO_PERMISSION)
        if missing := wanted - declared:
            raise TypeError(f"{self.name}: no code for {', '.join(sorted(p.value for p in missing))}")


NOT_FOUND: Mapping[On, Problem] = {
    On.GROUP: Problem.GROUP_NOT_FOUND,
    On.PARENT_GROUP: Problem.GROUP_NOT_FOUND,
    On.GROUPS_PARENT: Problem.GROUP_NOT_FOUND,
    On.USER: Problem.USER_NOT_FOUND,
    On.ALL_OF_USER: Problem.USER_NOT_FOUND,
    On.HOME: Problem.USER_NOT_FOUND,
    On.MEDIUM: Problem.MEDIUM_NOT_FOUND,
    On.VM: Problem.VM_NOT_FOUND,
    On.TASK: Problem.TASK_NOT_FOUND,
}
