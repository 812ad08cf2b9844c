"""Another site: a server of its own that gives an empty page for every path, and remembers what it was asked with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.serving import serving

PAGE = b"<!doctype html><html lang=en><title>Elsewhere</title><link rel=icon href=data:,><body></body></html>"


@dataclass
class Elsewhere:
    """One server with two names. Browsers keep cookies by name, without the port, and know origins with it."""

    port: int
    asked: list[tuple[str, Message]] = field(default_factory=list)
    """Path and headers of each request."""

    @property
    def neighbour(self) -> str:
        """Another origin, but the same site as `http://127.0.0.1` on another port: it makes cookies be sent."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def stranger(self) -> str:
        """Another site."""
        return f"http://localhost:{self.port}"


@contextmanager
def elsewhere_served() -> Iterator[Elsewhere]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            place.asked.append((self.path, self.headers))
            self.send_response(200)
            self.send_header("content-type", "text/javascript" if self.path.endswith(".js") else "text/html")
            self.end_headers()
            self.wfile.write(b"window.ran = 1" if self.path.endswith(".js") else PAGE)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    place = Elsewhere(server.server_address[1])
    with serving(server):
        yield place
