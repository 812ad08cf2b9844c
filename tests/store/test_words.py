"""What is said at the start when a database cannot be used: which one, why, and what to do; never the password."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from tests.postgres import Postgres
from tests.store.opening import opened, said
from velocity.cli.main import velocity
from velocity.store import engine


def break_(file: Path, how: str) -> None:
    if how == "directory":
        file.mkdir()
    elif how == "other":
        file.write_bytes(b"no database at all, " * 500)
    elif how == "damaged":
        opened(f"sqlite:///{file}")
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("pragma wal_checkpoint(truncate)")
        with file.open("r+b") as out:
            out.seek(4096)
            out.write(os.urandom(file.stat().st_size - 4096))
    elif how == "another program's":
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("create table users (name text)")
    elif how == "newer":
        opened(f"sqlite:///{file}")
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("update alembic_version set version_num = '9999'")


@pytest.mark.holds("DUR-39")
@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("directory", "is a directory: move it away"),
        ("other", "is not an SQLite database: restore it"),
        ("damaged", "is damaged: restore it"),
        ("another program's", "holds tables of another program: correct the setting"),
        ("newer", "belongs to a newer version of Velocity (schema 9999"),
    ],
)
def test_sqlite_that_cannot_be_used(tmp_path: Path, how: str, words: str) -> None:
    file = tmp_path / "v.db"
    break_(file, how)
    text = said(f"sqlite:///{file}")
    assert str(file) in text
    assert words in text


def test_sqlite_that_another_process_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "WAIT", 100)
    file = tmp_path / "v.db"
    opened(f"sqlite:///{file}")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("begin immediate")
        assert f"the database {file} is in use by another process" in said(f"sqlite:///{file}")


@pytest.mark.holds("DUR-39")
def test_postgresql_that_cannot_be_used(postgres: Postgres) -> None:
    url = postgres.database()
    made = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with made.connect() as connection:
        connection.exec_driver_sql("create database ascii template template0 encoding 'SQL_ASCII' locale 'C'")
        connection.exec_driver_sql("create role weak login")
    made.dispose()
    at, _, query = url.rpartition("/")[2].partition("?")
    user = url.removeprefix("postgresql://").partition("@")[0]
    socket = query.partition("=")[2]
    assert f"no database '{at}'" not in said(f"postgresql://{user}:hunter2@/none?{query}")
    cases = {
        f"postgresql://{user}:hunter2@/none?{query}": "database 'none', user",
        f"postgresql://nobody:hunter2@/{at}?{query}": "there is no such user: create it",
        f"postgresql://weak:hunter2@/{at}?{query}": "ALTER DATABASE",
        f"postgresql://{user}:hunter2@/ascii?{query}": "has the encoding SQL_ASCII: create one with ENCODING 'UTF8'",
        f"postgresql://{user}:hunter2@127.0.0.1:1/{at}": "at 127.0.0.1:1, database",
        f"postgres://{user}:hunter2@127.0.0.1:1/{at}": "does not respond: start it, or correct `database`",
        f"postgresql://{user}:hunter2@%2Fnowhere/{at}": "PostgreSQL at /nowhere",
        f"postgresql://{user}:hunter2@no.such.invalid/{at}": "there is no such host",
        f"postgresql://{user}:hunter2@{socket}.none/{at}": "does not respond",
        f"postgresql://{user}:hun@ter/2#@127.0.0.1/{at}": "write @ : / # ? % as %40",
    }
    for wrong, words in cases.items():
        text = said(wrong)
        assert words in text, wrong
        assert "hunter2" not in text
        assert "ter/2" not in text


@pytest.mark.parametrize("limit", ["a directory in the database's place", "too little memory"])
def test_a_server_that_cannot_start_says_why_and_how_to_mend_it(tmp_path: Path, limit: str) -> None:
    command = [sys.executable, "-m", "velocity", "serve"]
    if limit == "too little memory":
        command = ["prlimit", f"--as={256 << 20}", *command]
    else:
        (tmp_path / "data" / "velocity.db").mkdir(parents=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VELOCITY_")}
    environment |= {"VELOCITY_DATA_DIR": str(tmp_path / "data"), "VELOCITY_LISTEN": "127.0.0.1:0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    words = "is a directory: move it away" if "directory" in limit else "raise the limits of its user"
    assert words in done.stderr


def test_a_password_is_set_in_no_data_directory_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VELOCITY_DATA_DIR", str(tmp_path / "none"))
    for url in ("", "postgresql://velo@127.0.0.1:1/velo"):
        monkeypatch.setenv("VELOCITY_DATABASE", url)
        refused = CliRunner().invoke(velocity, ["passwd", "--password-stdin"], input="another password\n")
        assert refused.exit_code == 1
        assert f"there is no installation in {tmp_path / 'none'}: set VELOCITY_DATA_DIR" in refused.output
