"""Routes 28 and 29: browser sessions, whose authkey is in a cookie, and the list of one's sessions."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.fields import GivenName, GivenPassword, Uid, UnixTime, Word
from velocity.contract.operation import (
    Anyone,
    Change,
    Cookie,
    Failure,
    Method,
    Nothing,
    Operation,
    Paged,
    SignedIn,
    Wire,
)
from velocity.contract.problems import Problem

Sid = Annotated[
    str, Meta(description="the id of a session; it does not change when the authkey is renewed, and is not secret")
]


class OpenSession(Change, frozen=True):
    """Either a name and a password, or a link."""

    name: GivenName | UnsetType = UNSET
    password: GivenPassword | UnsetType = UNSET
    link: (
        Annotated[
            str, Meta(max_length=1024, description="the secret in the link that the server prints at its first start")
        ]
        | UnsetType
    ) = UNSET

    def __post_init__(self) -> None:
        for field in ("name", "password") if self.link is UNSET else ():
            if getattr(self, field) is UNSET:
                raise ValueError(f"Object missing required field `{field}`: send name and password, or link")


class BrowserSession(Wire, frozen=True):
    uid: Uid
    name: str
    csrf: Annotated[
        str,
        Meta(description="to be sent in the header x-velocity-csrf with the cookie, except with GET and HEAD"),
    ]
    first: Annotated[
        bool,
        Meta(description="opened by the first sign-in link: the password can be set without the old one"),
    ]
    expires: Annotated[int, Meta(description="seconds since 1970-01-01 UTC; absent: never")] | UnsetType = UNSET
    warnings: list[str] | UnsetType = UNSET
    """A warning if the session ends with the server, because the database cannot be written."""


class EndSession(Change, frozen=True):
    sid: Word | UnsetType = UNSET
    """Absent: the present one."""


class SessionInfo(Wire, frozen=True):
    sid: Sid
    created: UnixTime
    expires: UnixTime
    address: Annotated[str, Meta(description="the address that the sign-in came from")]
    agent: Annotated[str, Meta(description="the client program, as it identified itself")]
    current: Annotated[bool, Meta(description="whether it is the session of this request")]


class ListSessions(Paged[Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]], frozen=True):
    pass


class Sessions(Wire, frozen=True):
    sessions: list[SessionInfo]


OPEN = Operation(
    name="open_session",
    summary="Sign in a browser: the authkey is set as the cookie `velocity`, which scripts cannot read",
    method=Method.PUT,
    path="/u/session",
    route=28,
    request=OpenSession,
    response=BrowserSession,
    needs=Anyone("this is how a browser gets an authkey"),
    failures=(Failure(28200, 403, Problem.WRONG_CREDENTIALS, "wrong name, password or link"),),
    ours=True,
    cookie=Cookie.IGNORED,
    secret=True,
)

SHOW = Operation(
    name="show_session",
    summary="Show the present session and the csrf token for its requests",
    method=Method.POST,
    path="/u/session",
    route=28,
    request=Nothing,
    response=BrowserSession,
    needs=SignedIn("all users may see their own session"),
    failures=(),
    ours=True,
    cookie=Cookie.BARE,
)

RENEW = Operation(
    name="renew_session",
    summary="Exchange the authkey for a new one in a new cookie; the old one and its csrf token stop working at once",
    method=Method.PATCH,
    path="/u/session",
    route=28,
    request=Change,
    response=BrowserSession,
    needs=SignedIn("the authkey itself identifies the session"),
    failures=(),
    ours=True,
    secret=True,
)

END = Operation(
    name="end_session",
    summary="End one of the caller's sessions; without sid, the present one",
    method=Method.DELETE,
    path="/u/session",
    route=28,
    request=EndSession,
    response=Nothing,
    needs=SignedIn("all users may end their own sessions"),
    failures=(Failure(28310, 404, Problem.SESSION_NOT_FOUND, "the caller has no such session"),),
    ours=True,
)

LIST = Operation(
    name="list_sessions",
    summary="List the caller's sessions, newest first",
    method=Method.POST,
    path="/u/session/list",
    route=29,
    request=ListSessions,
    response=Sessions,
    lists={"sessions": "sid"},
    needs=SignedIn("all users may see their own sessions"),
    failures=(),
    ours=True,
)

OPERATIONS = (OPEN, SHOW, RENEW, END, LIST)
