"""A process that types into a guest, holds the input, and is killed at a line of it: `holding.py DIRECTORY LINE`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from velocity.hypervisor.qemu import serial_input

TYPED = b"".join(b"%07d\n" % number for number in range(5000))


def main(directory: Path, line: int) -> None:
    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal line
        if frame.f_code.co_filename != serial_input.__file__:
            return None
        if event == "line":
            line -= 1
            if line == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    os.write(os.open(directory / serial_input.INPUT, os.O_RDWR), TYPED)
    server = serial_input.SerialInput(directory)
    sys.settrace(trace)
    server.hold()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
