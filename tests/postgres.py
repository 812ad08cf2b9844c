"""A PostgreSQL server for the tests, on a unix socket of its own."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from tests.patience import PATIENCE, at_last
from tests.processes import lives, state
from velocity.store.database import Database
from velocity.store.leadership import LEADER

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


SOCKET = ".s.PGSQL.5432"
ENDS = int(PATIENCE * 1000)
"""Milliseconds within which a session that is told to end has ended: pg_terminate_backend(pid, ENDS) waits for that."""


class Postgres:
    """Started once; each test gets a database of its own."""

    def __init__(self) -> None:
        self._programs = PROGRAMS[-1] if PROGRAMS else Path(str(shutil.which("initdb"))).parent
        self._home = Path(tempfile.mkdtemp(prefix="vel-pg-"))
        self._as: list[str] = []
        self._count = 0
        self._migrated = ""
        user = pwd.getpwuid(os.geteuid()).pw_name
        if user == "root":  # PostgreSQL refuses to run as root
            user = "postgres"
            self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
            shutil.chown(self._home, "postgres", "postgres")
        self._user = user

    def start(self) -> None:
        data = str(self._home / "data")
        self._run("initdb", "-D", data, "-A", "trust", "-U", self._user, "-E", "UTF8", "--no-sync", "--locale=C")
        self.serve()

    def serve(self) -> None:
        """Serve what is there already, too: after `kill`."""
        options = f"-k {self._home} -c listen_addresses= -c fsync=off -c max_connections=50"
        options += " -c dynamic_shared_memory_type=mmap"  # in files of its own: a run that is killed leaves no others
        log = str(self._home / "log")
        self._run("pg_ctl", "-D", str(self._home / "data"), "-l", log, "-t", "120", "-w", "-o", options, "start")

    def kill(self) -> None:
        """As a crash would, with all its processes; it can `serve` again."""
        first = int((self._home / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(first, signal.SIGSTOP)  # so that it begins no others meanwhile
        at_last(lambda: state(first) == "T", "that it stands still")
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        for pid in (*map(int, children), first):
            os.kill(pid, signal.SIGKILL)
        at_last(lambda: not any(lives(pid) for pid in (*map(int, children), first)), "the end of its processes")
        for left in (self._home / "data" / "postmaster.pid", self._home / f"{SOCKET}.lock"):
            left.unlink(missing_ok=True)  # its pid may be a zombie's for a while, and it would not start then

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._home / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self._home)

    def database(self) -> str:
        """The URL of a new, empty database."""
        return self.url(self.create(), self._home)

    def installed(self) -> str:
        """The URL of a new database as the migrations leave it: a copy of one that they were run on once."""
        if not self._migrated:
            self._migrated = self.create()
            database = Database(self.url(self._migrated, self._home))
            database.open()
            database.lock.close()
            database.engine.dispose()
        return self.url(self.create("-T", self._migrated), self._home)

    @contextlib.contextmanager
    def admitting(self, *lines: str) -> Iterator[None]:
        """With these lines before all others of pg_hba.conf."""
        file = self._home / "data" / "pg_hba.conf"
        before = file.read_text()
        file.write_text("".join(f"{line}\n" for line in lines) + before)
        self._run("pg_ctl", "-D", str(file.parent), "reload")
        try:
            yield
        finally:
            file.write_text(before)
            self._run("pg_ctl", "-D", str(file.parent), "reload")

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self._home / SOCKET

    def url(self, name: str, directory: Path) -> str:
        """Of the database of that name, over the socket in the directory."""
        return f"postgresql://{self._user}@/{name}?host={quote(str(directory), safe='')}"

    def create(self, *how: str) -> str:
        """The name of a new database; empty, unless createdb is told otherwise."""
        self._count += 1
        name = f"v{self._count}"
        self._run("createdb", "-h", str(self._home), "-U", self._user, *how, name)
        return name

    def _run(self, program: str, *words: str) -> None:
        command = [*self._as, str(self._programs / program), *words]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/", check=False)
        assert done.returncode == 0, done.stderr.decode()


def lose_the_lock(url: str) -> None:
    """As PostgreSQL does with a leader that is gone; the other connections of that server stay."""
    ends = (
        "select pg_terminate_backend(pid, :ends) from pg_locks where locktype = 'advisory' and granted"
        " and objid = :lock and database = (select oid from pg_database where datname = current_database())"
    )
    values = ["-v", f"lock={LEADER}", "-v", f"ends={ENDS}"]
    subprocess.run(["psql", "-q", *values, url], input=ends, text=True, check=True, capture_output=True)
