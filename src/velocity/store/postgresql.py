"""PostgreSQL: its URL, parsed as libpq does, and its errors in words.

https://www.postgresql.org/docs/current/libpq-connect.html
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from velocity.store.errors import DatabaseError

KEEPALIVE = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
"""An unreachable server is noticed within half a minute."""
SCHEME = re.compile(r"postgres(ql)?(\+\w+)?://", re.IGNORECASE)
"""The schemes of libpq, and those of SQLAlchemy, whose driver we replace by ours."""


# The URL


def parse(text: str) -> URL:
    """The URL, with libpq's parameters in its `query`. Raises `DatabaseError`."""
    from psycopg import ProgrammingError, pq  # SQLite does not need it
    from psycopg.conninfo import conninfo_to_dict

    try:
        words = conninfo_to_dict("postgresql://" + _escaped(SCHEME.sub("", text, count=1)))
    except ProgrammingError as error:
        raise _unreadable(str(error)) from None  # the driver's message may contain the password
    given = {name: str(value) for name, value in words.items() if value is not None}
    hosts, ports = given.get("host", "").split(","), given.get("port", "").split(",")
    if any(not port.isdigit() or not 0 < int(port) < 1 << 16 for port in ports if port):
        raise _unreadable("a port is a number from 1 to 65535")
    if len(ports) not in (1, len(hosts)):
        raise _unreadable("there are as many ports as hosts, or one")
    if len(hosts) > 1:
        given.setdefault("target_session_attrs", "read-write")  # among several hosts, do not choose a standby
    if "service" not in given:  # the service may set these
        for option in pq.Conninfo.get_defaults():
            if option.keyword in (b"host", b"user", b"dbname") and option.val:
                given.setdefault(option.keyword.decode(), option.val.decode())
        given.setdefault("dbname", given.get("user", ""))
    return URL.create("postgresql+psycopg", database=given.get("dbname"), query=given)


def _escaped(rest: str) -> str:
    """The text with the escapes that libpq expects. A password must not contain an unescaped @ or /."""
    login = re.match(r"[^@/]*@", rest)
    if "@" in rest[login.end() if login else 0 :].partition("?")[0]:
        raise _unreadable("")
    return re.sub(r"%(?![0-9a-fA-F]{2})", "%25", rest).replace(" ", "%20")


def _unreadable(why: str) -> DatabaseError:
    option = re.search(r'invalid URI query parameter: "(\w{1,40})"', why)
    if option:
        return DatabaseError(f"database: `{option[1]}` is no option of PostgreSQL: remove it from the URL")
    known = f" ({why})" if why.startswith(("a port", "there are")) else ""
    return DatabaseError(
        f"database: the URL cannot be parsed{known}: it has the form postgresql://user:password@host:port/name; in the "
        "password, write @ : / # ? % as %40 %3A %2F %23 %3F %25"
    )


def connect(url: URL) -> Engine:
    """An engine, without a connection yet."""
    engine = sa.create_engine("postgresql+psycopg://", pool_pre_ping=True, connect_args={**KEEPALIVE, **url.query})

    @sa.event.listens_for(engine, "do_connect")
    def check(dialect: Any, _record: Any, words: Any, named: Any) -> Any:
        connection = dialect.connect(*words, **named)
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            name, user = _identifier(connection.info.dbname), _identifier(connection.info.user)
            connection.close()
            raise DatabaseError(
                f"the database {name} has the encoding {encoding}: create one with ENCODING 'UTF8': CREATE DATABASE "
                f"velocity OWNER {user} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
            )
        return connection

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        record.info["pid"] = connection.execute("select pg_backend_pid()").fetchone()[0]
        connection.rollback()

    return engine


def backend(connection: Connection) -> int | None:
    """The pid of the process that serves this session; None for SQLite."""
    pid = connection.connection.info.get("pid") if connection.dialect.name == "postgresql" else None
    return None if pid is None else int(pid)


def check_rights(connection: Connection, url: URL, tables: Collection[sa.Table], *, owner: bool) -> None:
    """Raises `DatabaseError` unless the user may create the tables, use them, or (`owner`) change their schema."""
    names = [f"{one.name}" for one in tables]
    names += [f"{one.name}_{key.name}_seq" for one in tables for key in one.primary_key.columns]
    found = connection.execute(_FOREIGN, {"names": [*names, "alembic_version"], "owner": owner}).first()
    if found is not None:
        user, other = _identifier(found.me), _identifier(found.owner)
        raise DatabaseError(
            f"{where(url)}: its table {found.name} belongs to {other}: name that user in `database`, or GRANT {other} "
            f"TO {user}"
        )
    lacks = connection.scalar(_LACKS)
    if lacks:
        raise DatabaseError(_sentence(url, BY_STATE[lacks]))


_FOREIGN = sa.text(
    "select c.relname as name, pg_get_userbyid(c.relowner) as owner, current_user as me from pg_class c"
    " where c.relnamespace = to_regnamespace(quote_ident(current_schema())) and c.relname in :names"
    " and not pg_has_role(c.relowner, 'usage') and (:owner or not case c.relkind"
    " when 'S' then has_sequence_privilege(c.oid, 'usage')"
    " else has_table_privilege(c.oid, 'select') and has_table_privilege(c.oid, 'insert')"
    " and has_table_privilege(c.oid, 'update') and has_table_privilege(c.oid, 'delete') end)"
    " order by c.relkind desc, c.relname limit 1"
).bindparams(sa.bindparam("names", expanding=True), sa.bindparam("owner", type_=sa.Boolean))

_LACKS = sa.text(
    "select case when to_regclass('alembic_version') is not null then '' when current_schema() is null then '3F000'"
    " when not has_schema_privilege(current_schema(), 'create') then '42501' else '' end"
)
"""The SQLSTATE with which creating tables would fail; empty if it would not."""

# Words

BY_STATE = {
    "42501": "the user may not create tables there: ALTER DATABASE {database} OWNER TO {user}, or, connected to it, "
    "GRANT CREATE ON SCHEMA public TO {user}",
    "3F000": "the user has no schema there to create tables in: CREATE SCHEMA AUTHORIZATION {user}",
    "25006": "it is a standby, or set to read-only: name the primary in `database`",
    "42P07": "it holds tables of another program: create a database of its own for Velocity",
    "42703": "it holds tables of another program: create a database of its own for Velocity",
    "53100": "its disk is full: free some space there",
}
"""Cures by SQLSTATE, which does not depend on the server's language.

https://www.postgresql.org/docs/current/errcodes-appendix.html
"""
ABSENT = "does not respond: start it, or correct `database`"
BY_WORDS = (
    (r"password authentication failed", "the password is wrong: correct it in `database`"),
    (r"no password supplied", "it requires a password: set `database` to postgresql://user:password@host/name"),
    (
        r"(peer|ident) authentication failed",
        "it lets only the account of that name in without a password: create the role with a PASSWORD and connect by "
        "127.0.0.1, or run the server as that account",
    ),
    (r"pg_hba.conf", "it does not allow this user to connect from here: add a line to its pg_hba.conf"),
    (r'socket "[^"]*" failed: permission denied', "the server's user may not reach its socket: connect by 127.0.0.1"),
    (
        r"permission denied for database",
        "the user may not connect to it: GRANT CONNECT ON DATABASE {database} TO {user}",
    ),
    (r"is not permitted to log in", "the user may not sign in: ALTER ROLE {user} LOGIN"),
    (r'role ".*" does not exist', "there is no such user: create it with CREATE ROLE {user} LOGIN PASSWORD '...'"),
    (
        r'database ".*" does not exist',
        "there is no such database: create it with CREATE DATABASE {database} OWNER {user}",
    ),
    (
        r"name or service not known|could not translate host name|failed to resolve host",
        "there is no such host: correct its name in `database`",
    ),
    (
        r"too many connections for role",
        "it has no free connections for this user: ALTER ROLE {user} CONNECTION LIMIT -1",
    ),
    (
        r"too many connections for database",
        "it has no free connections for this database: ALTER DATABASE {database} CONNECTION LIMIT -1",
    ),
    (r"not currently accepting", "it is closed: ALTER DATABASE {database} ALLOW_CONNECTIONS true"),
    (r"too many|remaining connection slots", "it has no free connections: close some, or raise its max_connections"),
    (r"starting up|shutting down|recovery mode", "it is starting or ending: start the server again in a moment"),
    (
        r"session is( not)? read-only|server is( not)? in hot standby",
        "it is a standby, or set to read-only: name the primary in `database`",
    ),
    (
        r"does not support ssl",
        "it speaks no TLS, and `sslmode` in `database` asks for it: switch `ssl` on there, or use sslmode=prefer",
    ),
    (
        r"certificate verify failed|does not match host name|root certificate",
        "its certificate is not to be trusted: name its authority in `database`, sslmode=verify-full&sslrootcert=FILE, "
        "and the host as the certificate does",
    ),
    (
        r"certificate|private key file",
        "its client certificate cannot be used: correct sslcert and sslkey in `database`",
    ),
    (r"negotiation|expected authentication request", "the program there is not PostgreSQL: correct host and port"),
    (r"invalid (\w+) value|invalid integer value|unrecognized value", "an option of `database` has no such value"),
    (r"definition of service", "its service is in no pg_service.conf: correct `service` in `database`"),
    (r"connection refused", ABSENT + " (connection refused)"),
    (r"no such file or directory", ABSENT + " (no socket there)"),
    (r"timeout|timed out", ABSENT + " (no answer in time)"),
    (r"no route to host|unreachable", ABSENT + " (no way to this host)"),
    (r"closed the connection|connection reset|connection not open|terminat", ABSENT + " (it ended the connection)"),
)
"""Cures by messages of libpq or PostgreSQL about connections, which have no SQLSTATE."""


def explained(url: URL, cause: BaseException) -> str:
    """One sentence: which database, what is wrong, and the cure."""
    own = " ".join(str(cause).split())
    meaning = BY_STATE.get(getattr(cause, "sqlstate", None) or "")
    if meaning is None:
        meaning = next((cure for sign, cure in BY_WORDS if re.search(sign, own, re.IGNORECASE)), None)
    if meaning is None:
        said = own.rpartition(" failed: ")[2]
        return f"{where(url)} refuses ({said[:200]}): correct `database`, or the configuration of PostgreSQL"
    return _sentence(url, meaning)


def _sentence(url: URL, meaning: str) -> str:
    between = " " if meaning.startswith(ABSENT) else ": "
    names = {name: _identifier(url.query.get(key, "...")) for name, key in (("database", "dbname"), ("user", "user"))}
    return f"{where(url)}{between}{meaning.format(**names)}"


def where(url: URL) -> str:
    given: Mapping[str, Any] = url.query
    hosts, ports = (str(given.get(name, "")).split(",") for name in ("host", "port"))
    places = [
        f"{host or 'the local socket'}{f':{port}' if port else ''}"
        for host, port in zip(hosts, ports * len(hosts) if len(ports) == 1 else ports, strict=True)
    ]
    named = [f"{what} {given[key]!r}" for what, key in (("database", "dbname"), ("user", "user")) if given.get(key)]
    return ", ".join([f"PostgreSQL at {' or '.join(places)}", *named])


def _identifier(name: Any) -> str:
    """Quoted as an SQL identifier, if necessary."""
    return (
        str(name) if re.fullmatch(r"[a-z_][a-z0-9_]*|\.\.\.", str(name)) else '"' + str(name).replace('"', '""') + '"'
    )
