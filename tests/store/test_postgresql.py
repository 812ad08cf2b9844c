"""PostgreSQL as people set it up: taken, or refused in one sentence whose cure helps."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from tests.certificates import certificate
from tests.patience import PATIENCE
from tests.postgres import SOCKET, Postgres
from tests.store import opening
from tests.store.opening import opened
from velocity.history.rules import HistoryEntry
from velocity.store import engine
from velocity.store.access import SqlAccess
from velocity.store.database import Database
from velocity.store.history import SqlHistory
from velocity.store.trash import SqlTrash

SECRET = "hun+ter2"


class Place:
    """A server, and a superuser's session in any of its databases."""

    def __init__(self, server: Postgres) -> None:
        self.directory = str(server.socket).removesuffix(f"/{SOCKET}")
        self.there = self.directory.replace("/", "%2F")
        self.admin = server.url("postgres", server.socket.parent).partition("://")[2].partition("@")[0]
        self.number = next(_places)
        self.weak, self.owning = f"weak{self.number}", f"owning{self.number}"
        self.server = server

    def new(self) -> str:
        return self.server.create()

    def sql(self, *statements: str, database: str = "postgres") -> None:
        with psycopg.connect(host=self.directory, dbname=database, user=self.admin, autocommit=True) as connection:
            for one in statements:
                connection.execute(one)

    def tables(self, database: str) -> int:
        with psycopg.connect(host=self.directory, dbname=database, user=self.admin) as connection:
            counted = connection.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone()
        return int(counted[0]) if counted else 0

    def as_user(self, name: str, database: str) -> str:
        return f"postgresql://{name}:{SECRET}@{self.there}/{database}"


_places = itertools.count(1)


@pytest.fixture
def place(postgres: Postgres) -> Place:
    made = Place(postgres)
    made.sql(f"create role {made.weak} login", f"create role {made.owning} login")
    return made


def said(url: str) -> str:
    """Without the password, and not in the words of a library."""
    text = opening.said(url)
    assert SECRET not in text
    for of_libraries in ("psycopg", "sqlalchemy", "connection failed", "connection is bad", "conninfo", "libpq"):
        assert of_libraries not in text.lower(), text
    return text


@pytest.mark.holds("DUR-65")
def test_urls_as_others_write_them_are_taken(place: Place) -> None:
    name, user, there = place.new(), place.admin, place.there
    assert place.tables(name) == 0
    for url in (
        f"postgres://{user}@{there}/{name}",
        f"POSTGRESQL://{user}@{there}/{name}\n",
        f"postgresql+psycopg2://{user}@{there}/{name}",
        f"postgresql://{user}:100%@{there}:5432/{name}?application_name=a@b",
        f"postgresql:///{name}?host={place.directory}&user={user}",
        f"postgresql://{user}@/{name}?host={there}&port=5432&sslmode=prefer",
        f"postgresql://{user}@%2Fnowhere,{there}/{name}",
        f"postgresql://{user}@%2Fnowhere:1,{there}:5432/{name}",
        f"postgresql:///{name}?user={user}&host=/nowhere,{place.directory}&port=1,5432&target_session_attrs=any",
        f"postgresql://{there}/{name}?user={user}&ssl=false".replace("&ssl=false", "&sslmode=disable"),
    ):
        opened(url)
        assert place.tables(name) > 10, "it is that database"


@pytest.mark.holds("DUR-65")
@pytest.mark.parametrize(
    ("written", "password"),
    [
        ("p%40ss%3Aw%2Fo%23r%3Fd%25", "p@ss:w/o#r?d%"), ("100%", "100%"), ("50%off", "50%off"), ("a:b", "a:b"),
        ("a#b?c", "a#b?c"), ("a b+c", "a b+c"), ("[x]&=;", "[x]&=;"), ("für", "für"), ("", None),
    ],
)  # fmt: skip
def test_a_password_is_what_was_written(written: str, password: str | None) -> None:
    url = engine.parse(f"postgresql://velo:{written}@db.example:5433/velo?sslmode=require")
    assert url.query.get("password") == password
    assert [url.query[key] for key in ("host", "port", "user", "dbname")] == ["db.example", "5433", "velo", "velo"]


@pytest.mark.holds("DUR-66")
@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"postgresql://velo:p@{SECRET}:w/o#rd@127.0.0.1/velo", "in the password, write @ : / # ? % as %40"),
        (f"postgresql://velo:p/{SECRET}@127.0.0.1/velo", "in the password, write @"),
        (f"postgresql://velo:{SECRET}@127.0.0.1:54x2/velo", "a port is a number from 1 to 65535"),
        (f"postgresql://velo:{SECRET}@127.0.0.1:99999/velo", "a port is a number from 1 to 65535"),
        ("postgresql://a,b/velo?port=1,2,3", "as many ports as hosts"),
        (f"postgresql://velo:{SECRET}@127.0.0.1/velo?schema=public", "`schema` is no option of PostgreSQL: remove it"),
        (f"postgresql://velo:{SECRET}@127.0.0.1:1/velo?sslmode=maybe", "an option of `database` has no such value"),
        ("postgresql:velo", "set it to postgresql://user:password@host:port/name"),
        (f"host=/tmp dbname=velo password={SECRET}", "set it to postgresql://user:password@host:port/name"),
        (f"jdbc:postgresql://velo:{SECRET}@127.0.0.1/velo", "set it to postgresql://user:password@host:port/name"),
        (f"mysql://velo:{SECRET}@127.0.0.1/velo", "or leave it out for SQLite"),
        ("velocity.db", "or leave it out for SQLite"),
        (
            "postgresql://velo@localhost:1/velo",
            "does not respond: start it, or correct `database` (connection refused)",
        ),
        (
            "postgresql://velo@%2Ftmp%2Fx:77/velo",
            "PostgreSQL at /tmp/x:77, database 'velo', user 'velo' does not respond",
        ),
        ("postgresql://velo@%2Fa,%2Fb:2/velo?connect_timeout=2", "PostgreSQL at /a or /b:2, database 'velo'"),
    ],
)
def test_urls_that_cannot_be_used_are_refused_with_the_cure(url: str, words: str) -> None:
    assert words in said(url)


@pytest.mark.holds("DUR-66")
@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_of_another_encoding_is_refused_and_the_one_that_is_named_is_taken(
    place: Place, encoding: str
) -> None:
    odd, right = f"odd{place.number}", f"right{place.number}"
    place.sql(f"create database {odd} template template0 encoding '{encoding}' locale 'C' owner {place.weak}")
    text = said(place.as_user(place.weak, odd))
    assert f"the database {odd} has the encoding {encoding}: create one with ENCODING 'UTF8'" in text
    place.sql(text[text.index("CREATE DATABASE") :].replace("velocity", right))
    opened(place.as_user(place.weak, right))


RIGHTS: dict[str, tuple[str, list[list[str]]]] = {
    "no CREATE": ("select 1", [["ALTER DATABASE"], ["GRANT CREATE"]]),
    "NOLOGIN": ("alter role {weak} nologin", [["ALTER ROLE", "ALTER DATABASE"]]),
    "no CONNECT": ("revoke connect on database {name} from public", [["GRANT CONNECT", "GRANT CREATE"]]),
    "no schema": ("drop schema public", [["CREATE SCHEMA"]]),
}
"""What is done first -> the statements of the refusals that are carried out, one after the other."""


@pytest.mark.holds("DUR-66")
@pytest.mark.parametrize("lack", RIGHTS)
def test_a_role_without_rights_is_refused_with_statements_that_help(place: Place, lack: str) -> None:
    before, ways = RIGHTS[lack]
    for cures in ways:
        name = place.new()
        place.sql(before.format(weak=place.weak, name=name), database=name)
        for cure in cures:
            text = said(place.as_user(place.weak, name))
            assert f"database '{name}', user '{place.weak}'" in text
            statement = re.search(rf"{cure} [^,:;]*", text)
            assert statement, text
            place.sql(statement[0], database=name)
        opened(place.as_user(place.weak, name))


@pytest.mark.holds("DUR-66")
def test_tables_of_another_user_or_program_are_refused_with_the_cure(place: Place) -> None:
    name, other, weak, owning = place.new(), place.new(), place.weak, place.owning
    place.sql(f"alter database {name} owner to {owning}")
    opened(place.as_user(owning, name))
    assert f"belongs to {owning}: name that user in `database`, or GRANT {owning} TO {weak}" in said(
        place.as_user(weak, name)
    )
    place.sql(f"grant all on all tables in schema public to {weak}", database=name)
    assert f"_seq belongs to {owning}" in said(place.as_user(weak, name))
    place.sql(f"grant all on all sequences in schema public to {weak}", database=name)
    opened(place.as_user(weak, name))  # nothing is to be upgraded: rights to write suffice
    version = "update alembic_version set version_num = "
    place.sql(version + "'0001'", database=name)
    assert f"GRANT {owning} TO {weak}" in said(place.as_user(weak, name))
    place.sql(version + "'9999'", database=name)
    assert "belongs to a newer version of Velocity (schema 9999" in said(place.as_user(owning, name))
    place.sql(version + "'a1b2c3'", database=name)
    assert "holds tables of another program" in said(place.as_user(owning, name))
    place.sql("delete from alembic_version", database=name)
    assert "holds tables of another program" in said(place.as_user(owning, name))
    place.sql("create table users (id int)", database=other)
    assert "tables of another program: create a database of its own" in said(place.as_user(place.admin, other))


@pytest.mark.holds("DUR-66")
def test_a_database_that_takes_no_writes_is_refused_with_the_cure(place: Place) -> None:
    name = place.new()
    place.sql(f"alter database {name} owner to {place.weak}")
    opened(place.as_user(place.weak, name))
    place.sql(f"alter database {name} set default_transaction_read_only = on")
    for url in (place.as_user(place.weak, name), f"postgresql://{place.weak}@%2Fnowhere,{place.there}/{name}"):
        assert "it is a standby, or set to read-only: name the primary" in said(url)


REFUSED = {
    "peer": ("local all {weak} peer", "", "connect by 127.0.0.1, or run the server as that account"),
    "reject": ("local all {weak} reject", "", "add a line to its pg_hba.conf"),
    "no line": ("local {name} postgres trust\nlocal {name} all reject", "", "add a line to its pg_hba.conf"),
    "wrong password": ("local all {weak} scram-sha-256", "", "the password is wrong: correct it in `database`"),
    "role's limit": ("", "alter role {weak} connection limit 0", "ALTER ROLE {weak} CONNECTION LIMIT -1"),
    "database's limit": ("", "alter database {name} connection limit 0", "ALTER DATABASE {name} CONNECTION LIMIT -1"),
    "closed": ("", "alter database {name} allow_connections false", "ALTER DATABASE {name} ALLOW_CONNECTIONS true"),
}
"""Lines of pg_hba.conf, what is done first, and words of the refusal."""


@pytest.mark.holds("DUR-66")
@pytest.mark.parametrize("why", REFUSED)
def test_what_postgresql_refuses_is_said_with_the_cure(place: Place, why: str) -> None:
    name = place.new()
    lines, before, words = (one.format(weak=place.weak, name=name) for one in REFUSED[why])
    if before:
        place.sql(before)
    with place.server.admitting(lines):
        end = time.monotonic() + PATIENCE
        while words not in (text := said(place.as_user(place.weak, name))):  # the lines are read in a moment
            assert lines and time.monotonic() < end, text
            time.sleep(0.05)
        if why == "wrong password":
            without = place.as_user(place.weak, name).replace(f":{SECRET}", "")
            assert "it requires a password: set `database` to postgresql://user:password@host/name" in said(without)


@pytest.mark.holds("DUR-66")
@pytest.mark.parametrize(
    ("answer", "options", "words"),
    [
        (b"N", "sslmode=require", "it speaks no TLS, and `sslmode` in `database` asks for it"),
        (b"HTTP/1.1 400 Bad Request\r\n", "sslmode=prefer", "the program there is not PostgreSQL"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "sslmode=disable", "the program there is not PostgreSQL"),
        (b"S", "sslmode=verify-full&sslrootcert=/nowhere", "name its authority in `database`, sslmode=verify-full"),
        (b"TLS", "sslmode=verify-full&sslrootcert=system", "its certificate is not to be trusted"),
        (b"", "sslmode=disable", "does not respond: start it, or correct `database` (it ended the connection)"),
        (None, "connect_timeout=2", "does not respond: start it, or correct `database` (no answer in time)"),
    ],
)
def test_what_is_no_postgresql_or_not_to_be_trusted_is_said_with_the_cure(
    answer: bytes | None, options: str, words: str, tmp_path: Path
) -> None:
    with answering(answer, tmp_path) as port:
        assert words in said(f"postgresql://velo:{SECRET}@127.0.0.1:{port}/velo?{options}")


@contextlib.contextmanager
def answering(answer: bytes | None, place: Path) -> Iterator[int]:
    """Its port: something that gives each connection this answer. TLS: it speaks that, with a certificate of nobody's
    authority; None: it says nothing.
    """
    certificate("127.0.0.1").write(place, certificate("lab CA", authority=True))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(place / "cert.pem", place / "key.pem")
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                held.append(connection)
                with contextlib.suppress(OSError):
                    connection.recv(8) if answer != b"" else connection.recv(1 << 10)
                    if answer == b"TLS":
                        connection.send(b"S")
                        held.append(context.wrap_socket(connection, server_side=True))
                    elif answer is not None:
                        connection.send(answer)
                        connection.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for one in (listener, *held):
            one.close()


@contextlib.asynccontextmanager
async def a_database(place: Place) -> AsyncIterator[Database]:
    database = Database(place.server.url(place.new(), place.server.socket.parent))
    database.open()
    try:
        yield database
    finally:
        await database.close()


def test_more_items_of_the_trash_than_a_statement_has_parameters_are_read(place: Place) -> None:
    async def read() -> None:
        async with a_database(place) as database:
            assert await SqlTrash(database).disks(range(1, 1 << 17)) == {}

    asyncio.run(read())


@pytest.mark.holds("DUR-93")
def test_more_groups_than_a_statement_has_parameters_are_shown_in_the_history_and_deleted(place: Place) -> None:
    groups = 1 << 17
    made = sa.text(
        "insert into groups (gid, parent_gid, name) select i, case i when 0 then 0 else 1 end, i::text"
        " from generate_series(0, :last) i"
    ).bindparams(last=groups)
    entry = HistoryEntry(1, None, "", "", "a", "delete_group", groups, "", 200, None, None, None)

    async def work() -> None:
        async with a_database(place) as database:
            database.read(lambda connection: connection.execute(made) and None)
            history, access = SqlHistory(database), SqlAccess(database)
            await history.add([entry, replace(entry, gid=0)])
            assert [one.gid for _, one in await history.newest(1, None, 10, None, None, None)] == [groups]
            await access.remove_groups(1, 0, None)
            assert [one.gid for one in access.load().groups] == [0]

    asyncio.run(work())
