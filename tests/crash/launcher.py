"""`velocity serve` with the points of `points.py`, in a process of its own.

Most of a start are imports, and a matrix starts a server some hundred times: so they are done once, in a process that
is forked for each server. All that follows is what `velocity serve` does.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

import alembic.command
import alembic.config
import psycopg
import sqlalchemy.dialects.sqlite.pysqlite
import uvicorn
import uvicorn.lifespan.off

from tests.crash import memory, points
from velocity import priority
from velocity.cli import serve
from velocity.cli.main import main

WITH = "CRASH_WITH"
"""Environment: `memory` or `qemu`, and `bridged` beside it."""


BEFOREHAND = (alembic.command, alembic.config, psycopg, sqlalchemy.dialects.sqlite.pysqlite, uvicorn.lifespan.off)
"""What the server would import on its way."""
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])


def begin(environment: dict[str, str], log: Path) -> None:
    """Be the server: the target of a process of `FORKS`."""
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    out = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    for stream, number in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (out, 2)):
        os.dup2(stream, number)
    priority.raise_session()
    priority.raise_thread()
    chosen = environment[WITH].split()
    seams = [seam for seam in points.SEAMS if seam.with_ in (points.ANY, *chosen)]
    if "bridged" in chosen:
        seams.append(points.BRIDGED)
    if points.MEMORY in chosen:
        vars(serve)["QemuHypervisor"] = memory.Kept
    armed = points.Armed(Path(environment[points.CONTROL]), Path(environment[points.PASSED]))
    points.install(tuple(seams), armed)
    configure = uvicorn.Config.__init__

    def answering(self: uvicorn.Config, application: object, **more: object) -> None:
        configure(self, points.answering(application), **more)  # type: ignore[arg-type]

    setattr(uvicorn.Config, "__init__", answering)  # noqa: B010 - to assign to a method is what mypy refuses
    sys.argv = ["velocity", "serve"]
    main()
