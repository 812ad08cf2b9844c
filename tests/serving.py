"""A server of the standard library in a thread, for as long as a test needs it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer


@contextmanager
def serving(server: BaseServer) -> Iterator[None]:
    """It ends with what needs it, also where that fails.

    Else its thread goes on: the process of the tests then does not end, or the thread raises in another test as its
    socket is closed.
    """
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    with server:
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
