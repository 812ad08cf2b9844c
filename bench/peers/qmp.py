"""A client of QEMU's monitor, with nothing around it: what one question takes at the least.

https://www.qemu.org/docs/master/interop/qmp-spec.html
"""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any


class Qmp:
    """One connection, which is the only one that a monitor has at a time."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(path))
        self._rest = b""
        self._line()  # the greeting
        self.execute("qmp_capabilities")

    def execute(self, command: str) -> float:
        """Milliseconds that one command took."""
        begun = time.perf_counter()
        self.send(command)
        while "return" not in (answer := self._line()):
            if "error" in answer:
                raise RuntimeError(answer)
        return (time.perf_counter() - begun) * 1000

    def send(self, command: str) -> None:
        """Without waiting for its answer."""
        self._socket.sendall(b'{"execute":"%s"}' % command.encode())

    def close(self) -> None:
        self._socket.close()

    def _line(self) -> dict[str, Any]:
        while b"\n" not in self._rest:
            more = self._socket.recv(65536)
            if not more:
                raise EOFError
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return dict(json.loads(line))
