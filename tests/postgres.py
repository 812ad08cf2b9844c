"""A PostgreSQL server for the tests, on a unix socket of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


class Postgres:
    """Started once; each test gets a database of its own."""

    def __init__(self) -> None:
        self._programs = PROGRAMS[-1] if PROGRAMS else Path(str(shutil.which("initdb"))).parent
        self._home = Path(tempfile.mkdtemp(prefix="vel-pg-"))
        self._as: list[str] = []
        self._count = 0
        user = pwd.getpwuid(os.geteuid()).pw_name
        if user == "root":  # PostgreSQL refuses to run as root
            user = "postgres"
            self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
            shutil.chown(self._home, "postgres", "postgres")
        self._user = user

    def start(self) -> None:
        data = str(self._home / "data")
        self._run("initdb", "-D", data, "-A", "trust", "-U", self._user, "-E", "UTF8", "--no-sync", "--locale=C")
        options = f"-k {self._home} -c listen_addresses= -c fsync=off -c max_connections=50"
        self._run("pg_ctl", "-D", data, "-l", str(self._home / "log"), "-w", "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._home / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self._home)

    def database(self) -> str:
        """The URL of a new, empty database."""
        self._count += 1
        name = f"v{self._count}"
        self._run("createdb", "-h", str(self._home), "-U", self._user, name)
        return f"postgresql://{self._user}@/{name}?host={quote(str(self._home), safe='')}"

    def _run(self, program: str, *words: str) -> None:
        command = [*self._as, str(self._programs / program), *words]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/", check=False)
        assert done.returncode == 0, done.stderr.decode()
