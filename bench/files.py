"""Files over HTTP, up and down, with as little work at this end as can be: what is measured is the server."""

from __future__ import annotations

import http.client
import os
import socket
from pathlib import Path

from bench.server import Wrong

PIECE = 1 << 20
PATIENCE = 120.0


def fill(file: Path, size: int) -> None:
    """Bytes that nothing makes smaller, and which lie in the page cache then."""
    block = os.urandom(min(size, 16 << 20))
    with file.open("wb") as out:
        for at in range(0, size, len(block)):
            out.write(block[: size - at])
        out.flush()
        os.fsync(out.fileno())


def put(port: int, path: str, file: Path, headers: dict[str, str]) -> bytes:
    """The answer's body. The kernel copies the file into the socket. Raises `Wrong`. sendfile(2)"""
    sent = {"host": "bench", "content-length": str(file.stat().st_size), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection, file.open("rb") as source:
        connection.sendall(f"PUT {path} HTTP/1.1\r\n{head}\r\n".encode())
        connection.sendfile(source)
        return _answer(connection, "PUT", path).read()


def get(port: int, path: str, headers: dict[str, str]) -> int:
    """Bytes that came, of all that were told. Raises `Wrong`."""
    buffer = memoryview(bytearray(PIECE))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    came = 0
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: bench\r\n{head}\r\n".encode())
        answer = _answer(connection, "GET", path)
        while more := answer.readinto(buffer):
            came += more
    return came


def _answer(connection: socket.socket, method: str, path: str) -> http.client.HTTPResponse:
    answer = http.client.HTTPResponse(connection, method=method)
    answer.begin()
    if not 200 <= answer.status < 300:
        raise Wrong(f"{method} {path}: {answer.status} {answer.read().decode(errors='replace')}")
    return answer


def medium(key: str, name: str) -> dict[str, str]:
    """The headers of an upload into pool 1 and group 0."""
    return {
        "authorization": f"Bearer {key}",
        "x-velocity-mpid": "1",
        "x-velocity-gid": "0",
        "x-velocity-name": name,
        "x-velocity-type": "DISK",
        "x-velocity-readonly": "false",
    }
