"""Ports of the loopback that are a test's own, also while nothing listens there."""

from __future__ import annotations

import socket


def reserved() -> socket.socket:
    """A socket at a TCP port that the kernel gives to nobody else until it is closed.

    Who asks for that port can listen there, as servers do (SO_REUSEADDR), once or again; meanwhile connections to it
    are refused. A port that is only known to have been free may be another process's by the time it is used. socket(7)
    """
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", 0))
    return bound
