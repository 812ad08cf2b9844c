"""Connections whose user is known: what they send is parsed in that user's turns."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Protocol

from starlette.types import Scope
from uvicorn.protocols.http.flow_control import FlowControl

from velocity.api.request import TURN, Find, Headers, user
from velocity.api.turns import Turns


class Connection(Protocol):
    """What a `Sender` needs of a connection."""

    plain: asyncio.Transport
    flow: FlowControl

    in_head: bool
    """Whether the next bytes belong to a head, as opposed to a body."""

    def take(self, data: bytes) -> bool:
        """Parse the data. False: the connection takes no more."""


class Sender:
    """The user of a connection, and its data that waits for their turn, in order."""

    __slots__ = ("_find", "_held", "_paused", "_shared", "_turn", "_turns", "_uid", "_waits_as")

    def __init__(self, turns: Turns, find: Find) -> None:
        self._turns = turns
        self._find = find
        self._uid: int | None = None
        self._shared = False
        """A reverse proxy's connection, with several users: each request takes its turn once its head is known."""
        self._turn: int | None = None
        """The user whose turn was taken for the data being parsed, until a request begins with it."""
        self._held = 0
        self._waits_as = 0
        self._paused = False

    def came(self, one: Connection, data: bytes) -> bool:
        """Whether the data was parsed at once (True), or waits for the user's turn."""
        uid = self._uid
        if not self._held and (uid is None or self._turns.begins(uid)):
            self._take(one, data)
            return True
        if uid is not None and not self._held:
            self._waits_as = uid
        if (self._held or not one.in_head) and not self._paused:  # clients wait for the response anyway
            self._paused = True
            one.plain.pause_reading()
        self._held += 1
        self._turns.wait(self._waits_as, partial(self._begin, one, data))
        return False

    def _begin(self, one: Connection, data: bytes) -> bool:
        self._held -= 1
        if not self._take(one, data):
            return False
        if self._paused and not self._held:
            self._paused = False
            if not one.flow.read_paused:  # it may be paused for another reason, too
                one.plain.resume_reading()
        return True

    def _take(self, one: Connection, data: bytes) -> bool:
        self._turn = self._uid
        taken = one.take(data)
        self._turn = None
        return taken

    def note_head(self, headers: Headers, scope: Scope) -> bool:
        """Whether the headers of a request say who sends it."""
        uid = user(headers, self._find)
        if uid is None:
            return False
        if self._uid != uid and not self._shared:
            self._shared = self._uid is not None
            self._uid = None if self._shared else uid
        if self._turn == uid:
            scope[TURN] = uid
            self._turn = None
        return True
