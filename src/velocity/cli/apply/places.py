"""The groups in an apply file: existing ones, those that it creates, and those that others create meanwhile."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import TypeVar

import click

from velocity.cli import where
from velocity.cli.apply.file import group_path
from velocity.cli.output import AmbiguousName, NameNotFound
from velocity.cli.words import clean
from velocity.client import ApiError, Client, ClientError
from velocity.contract import names

Made = TypeVar("Made")
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds between checks for something that somebody else may be creating."""
LOOK = 0.5
"""Seconds between checks for something that is known to be under way."""


class Places:
    """Groups by path."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._gids = {path: gid for gid, path in where.paths(client).items()}
        self._planned: set[str] = set()

    def find(self, word: str) -> int | None:
        """The group's gid, by path, name or id. None: it will be created. Raises `ClientError`."""
        path = group_path(word)
        if path in self._planned:
            return None
        if path in self._gids:
            return self._gids[path]
        try:
            return where.gid(self._client, word)
        except AmbiguousName:
            raise
        except NameNotFound:
            raise ClientError(
                f"there is no group {clean(word)!r}, and the file does not create it: add it under [[groups]]"
            ) from None

    def look(self, word: str) -> int | None:
        """As `find`, but None also for a group that does not exist and will not be created."""
        try:
            return self.find(word)
        except ClientError:
            return None

    def key(self, word: str) -> int | str:
        """The same value for all words that mean one group."""
        found = self.find(word)
        return group_path(word) if found is None else found

    def nearest(self, word: str) -> int:
        """The gid of the group, or of its nearest ancestor that exists already."""
        path = group_path(word)
        while path in self._planned:
            path = above(path)
        return self.find(path) or where.ROOT

    def now(self, word: str) -> int:
        """The gid of a group that exists by now."""
        path = group_path(word)
        return self._gids[path] if path in self._gids else where.gid(self._client, word)

    def known(self, path: str) -> int | None:
        return self._gids.get(path)

    def plan(self, path: str) -> None:
        self._planned.add(path)

    def made(self, path: str, gid: int) -> None:
        self._gids[path] = gid
        self._planned.discard(path)


def wait_while(under_way: Callable[[], bool], label: str) -> None:
    for number in itertools.count():
        if not under_way():
            return
        if not number:
            click.echo(f"  {label}: it is being made already; waiting", err=True)
        time.sleep(LOOK)


def above(path: str) -> str:
    """The path of a group's parent."""
    return names.path(names.parts(path)[:-1]) or "/"


def unless_made(
    make: Callable[[], Made],
    taken: int,
    there: Callable[[], Made | None],
    label: str,
    under_way: Callable[[], bool] = lambda: False,
) -> Made:
    """Create something, unless somebody else has done so meanwhile. `taken` is the error number of a name in use.

    `under_way`: whether somebody, such as an interrupted run, is creating it, however long that takes.
    """
    for pause in (*PAUSES, None):
        try:
            return make()
        except ApiError as error:
            if error.code != taken:
                raise
            wait_while(under_way, label)
            found = there()
            if found is not None:
                return found
            if pause is None:
                raise
        click.echo(f"  {label}: somebody else is making it; waiting", err=True)
        time.sleep(pause)
    raise AssertionError("the last try has returned or raised")
