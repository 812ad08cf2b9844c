"""Statements whose text is made once: by what they send, and with the values of each time."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import bindparam

from velocity.store.prepared import Prepared

things = sa.Table("things", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text))
_rename = Prepared(sa.update(things).where(things.c.id == bindparam("of")).returning(things.c.name))
_first = Prepared(sa.update(things).where(things.c.id == 1))


def test_each_time_it_has_the_values_of_that_time_and_the_same_text() -> None:
    sent: list[str] = []
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        things.metadata.create_all(connection)
        connection.execute(sa.insert(things), [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])

        def hear(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            sent.append(statement)

        sa.event.listen(engine, "before_cursor_execute", hear)
        assert _rename.execute(connection, {"of": 2, "name": "c"}).scalar_one_or_none() == "c"
        assert _rename.execute(connection, {"name": "d", "of": 1}).scalar_one_or_none() == "d"
        assert _rename.execute(connection, {"of": 3, "name": "e"}).scalar_one_or_none() is None
        assert _first.execute(connection, {"name": "f"}).rowcount == 1, "a value that is always the same is its own"
        assert sent[0] is sent[1] is sent[2]
        assert list(connection.execute(sa.select(things.c.name).order_by(things.c.id)).scalars()) == ["f", "c"]


class Elsewhere:
    """A connection to a database that takes values by their names."""

    dialect = sa.make_url("postgresql+psycopg://").get_dialect()()

    def exec_driver_sql(self, text: str, values: object) -> tuple[str, object]:
        return text, values


def test_each_kind_of_database_has_a_text_of_its_own() -> None:
    there: Any = Elsewhere()
    told: Any = _first.execute(there, {"name": "g"})
    assert told == (
        "UPDATE things SET name=%(name)s::VARCHAR WHERE things.id = %(id_1)s::INTEGER",
        {"id_1": 1, "name": "g"},
    )
