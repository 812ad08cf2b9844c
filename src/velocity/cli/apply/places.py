"""The groups of an apply file: existing ones, those that it creates, and those that others create meanwhile."""

from __future__ import annotations

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
"""Seconds between looks for what somebody else is making at the same time."""


class Places:
    """Groups by their paths."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._gids = {path: gid for gid, path in where.paths(client).items()}
        self._planned: set[str] = set()

    def find(self, word: str) -> int | None:
        """A group by its path, or as anywhere by name or id. None: planned. Raises `ClientError`."""
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
        """The same, and None as well for a group that neither is there nor will be."""
        try:
            return self.find(word)
        except ClientError:
            return None

    def key(self, word: str) -> int | str:
        """The same for all words that mean one group."""
        found = self.find(word)
        return group_path(word) if found is None else found

    def nearest(self, word: str) -> int:
        """The group, or the next one above it that is there."""
        path = group_path(word)
        while path in self._planned:
            path = above(path)
        return self.find(path) or where.ROOT

    def now(self, word: str) -> int:
        """When its turn has come, it is there."""
        path = group_path(word)
        return self._gids[path] if path in self._gids else where.gid(self._client, word)

    def known(self, path: str) -> int | None:
        return self._gids.get(path)

    def plan(self, path: str) -> None:
        self._planned.add(path)

    def made(self, path: str, gid: int) -> None:
        self._gids[path] = gid
        self._planned.discard(path)


def above(path: str) -> str:
    """The path of the group that a group lies in."""
    return names.path(names.parts(path)[:-1]) or "/"


def unless_made(make: Callable[[], Made], taken: int, there: Callable[[], Made | None], label: str) -> Made:
    """Make it; where another one has done so meanwhile, that will do. `taken` is the code of a name that is in use."""
    for pause in (*PAUSES, None):
        try:
            return make()
        except ApiError as error:
            found = there() if error.code == taken else None
            if found is not None:
                return found
            if error.code != taken or pause is None:
                raise
        click.echo(f"  {label}: somebody else is making it; waiting", err=True)
        time.sleep(pause)
    raise AssertionError("the last try has returned or raised")
