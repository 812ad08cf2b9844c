"""Statements of each start and stop, compiled once: compiling takes longer than executing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection, CursorResult, Dialect
from sqlalchemy.sql import ClauseElement


class _Text(NamedTuple):
    """The statement for one dialect: text, constant values, and the order of positional parameters."""

    text: str
    fixed: Mapping[str, Any]
    order: Sequence[str] | None


class Prepared:
    """A statement that is compiled once. Its values are passed to the driver as they are: texts, numbers, None."""

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._texts: dict[str, _Text] = {}

    def execute(self, connection: Connection, values: Mapping[str, Any]) -> CursorResult[Any]:
        """Execute it; `values` have the same names each time."""
        dialect = connection.dialect
        text, fixed, order = self._texts.get(dialect.name) or self._prepare(dialect, values)
        named = {**fixed, **values}
        return connection.exec_driver_sql(text, named if order is None else tuple([named[one] for one in order]))

    def _prepare(self, dialect: Dialect, values: Mapping[str, Any]) -> _Text:
        made: Any = self._statement.compile(dialect=dialect, column_keys=list(values))
        text = self._texts[dialect.name] = _Text(str(made), made.params, made.positiontup if made.positional else None)
        return text
