"""Whether this host can use a RADOS pool, found by trying."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path
from uuid import uuid4

from velocity.storage.rbd.blocklist import ask
from velocity.storage.rbd.opened import Daemon
from velocity.storage.rbd.rados_pool import RadosPool, words_of

NOBODY = "192.0.2.255"
"""An address for documentation (RFC 5737), which is never on a blocklist."""


def lacks(pool: RadosPool) -> str:
    """What is missing, and what to do; empty: nothing. Leaves nothing behind."""
    if os.geteuid() != 0:
        return "images are files of FUSE, for root alone: run the server as root"
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "there is no /dev/fuse: load the module fuse"
    try:
        pool.names()
    except OSError as error:
        if error.errno == errno.ESHUTDOWN:
            return (
                "the cluster refuses all requests from this host, whose address is on its blocklist: the server takes "
                "it off when this host answers the server; or run `ceph osd blocklist rm ADDRESS:0/0`"
            )
        return f"{words_of(error)}: check {pool.conf}, and that user {pool.user!r} may use RADOS pool {pool.name}"
    name = f"check.{uuid4()}"
    try:
        pool.create(name, 512)
    except OSError as error:
        return f"{words_of(error)}: give user {pool.user!r} the rights of `profile rbd` there"
    try:
        _write(pool, name)
    except OSError as error:
        return f"{words_of(error)}: install qemu-system-common and qemu-block-extra (Fedora: qemu-block-rbd)"
    finally:
        with contextlib.suppress(OSError):
            pool.remove(name)
    return ""


def hampers(pool: RadosPool) -> str:
    """Why a host that uses it could not be blocklisted and taken off again; empty if it could."""
    try:
        ask(pool)
        pool.ceph("osd", "blocklist", "rm", f"{NOBODY}:0/0")
    except PermissionError:
        return (
            f"user {pool.user!r} may not take hosts off the cluster's blocklist: give it that right with `ceph auth "
            f"caps client.{pool.user} mon 'profile rbd, allow command \"osd blocklist\" with blocklistop=rm' osd ...`"
        )
    except OSError as error:
        return f"the address by which the cluster knows this host cannot be found out: {words_of(error)}"
    return ""


def _write(pool: RadosPool, name: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        daemon = Daemon(pool, name, Path(scratch) / "image", readonly=False)
        try:
            descriptor = daemon.open()
            try:
                os.pwrite(descriptor, b"x", 0)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        finally:
            daemon.end()
            daemon.wait()
            pool.full.close()
