"""A program that prints the address by which a Ceph cluster knows this host; exits with the error's number.

A program of its own, as librados aborts its process when an assertion fails. Arguments: configuration file, user.
"""

from __future__ import annotations

import ctypes
import errno
import sys

TIMEOUT = b"20"
"""Seconds until connecting to a cluster is given up."""


def main(conf: str, user: str) -> int:
    """https://docs.ceph.com/en/latest/rados/api/librados/"""
    try:
        rados = ctypes.CDLL("librados.so.2")
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return errno.ENOPKG
    cluster, told = ctypes.c_void_p(), ctypes.c_char_p()
    if status := rados.rados_create(ctypes.byref(cluster), user.encode()):
        return abs(int(status))
    status = (
        rados.rados_conf_read_file(cluster, conf.encode())
        or rados.rados_conf_set(cluster, b"client_mount_timeout", TIMEOUT)
        or rados.rados_connect(cluster)
        or rados.rados_getaddrs(cluster, ctypes.byref(told))
    )
    sys.stdout.write((told.value or b"").decode())
    rados.rados_shutdown(cluster)
    return abs(int(status))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
