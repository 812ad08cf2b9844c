"""`--limit` and `--before` of commands that list: pages, as in the API."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import click
import msgspec

from velocity.cli.output import MORE, NEXT, as_json
from velocity.client import Client
from velocity.contract.operation import PAGE, Operation, Wire

Function = TypeVar("Function", bound=Callable[..., Any])
Request = TypeVar("Request", bound=Wire)
Response = TypeVar("Response", bound=Wire)
Item = TypeVar("Item")


@dataclass(frozen=True)
class Page:
    """The requested page: at most `limit` items, the highest ids first, only ids below `before`."""

    limit: int | None
    before: str | None

    @property
    def is_page(self) -> bool:
        return self.limit is not None or self.before is not None

    def ask(self, client: Client, operation: Operation[Request, Response], request: Request) -> Response:
        """Request the page; if it is cut off, `listed` says so."""
        wanted = self._of(request)
        answer = client.call(operation, wanted)
        rest = operation.next_page(wanted, answer)
        if rest is not None and not as_json():
            one = client.call(operation, msgspec.structs.replace(rest, limit=1))
            if any(getattr(one, name) for name in operation.lists):
                _tell(rest.before)  # type: ignore[attr-defined]
        return answer

    def cut(self, found: Sequence[Item], key: Callable[[Item], int]) -> list[Item]:
        """The page of several lists together."""
        if not self.is_page:
            return list(found)
        found = sorted(found, key=key, reverse=True)
        if self.limit is not None and len(found) > self.limit:
            _tell(key(found[self.limit - 1]))
        return found[: self.limit]

    def _of(self, request: Request) -> Request:
        told = {"limit": self.limit, "before": self.before}
        given = {name: value for name, value in told.items() if value is not None}
        if not given:
            return request
        try:
            return msgspec.convert(msgspec.to_builtins(request) | given, type(request), strict=False)
        except msgspec.ValidationError:
            raise click.BadParameter(
                f"{self.before!r} is not an id of this list: give the id of the last line shown", param_hint="--before"
            ) from None


def paged(limit: int | None = None) -> Callable[[Function], Function]:
    """Adds the options; the command gets them as `page`."""

    def decorate(command: Function) -> Function:
        @functools.wraps(command)
        def wrapped(*args: Any, limit: int | None, before: str | None, **kwargs: Any) -> Any:
            page = Page(limit, before)
            if page.is_page:
                click.get_current_context().meta[NEXT] = before is not None
            return command(*args, page=page, **kwargs)

        words = "At most N, newest (highest id) first."
        wrapped = click.option("--before", metavar="ID", help="Only ids below this one: the next page.")(wrapped)
        wrapped = click.option(
            "--limit",
            type=click.IntRange(1, PAGE),
            metavar="N",
            default=limit,
            show_default=limit is not None,
            help=words,
        )(wrapped)
        return cast(Function, wrapped)

    return decorate


def _tell(before: object) -> None:
    click.get_current_context().meta[MORE] = before
