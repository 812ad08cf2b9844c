"""The web page: its built files, and index.html for any other path that does not belong to the API."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import stat
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from velocity.api.browser import SAFE, is_secure, own_hosts

STATIC = Path(__file__).with_name("static")
"""Where the build puts the files; the wheel has them."""
INDEX = "index.html"
API = frozenset({"v", "u", "m", "t", "h", "openapi.json", "metrics"})
"""The first parts of paths that are never the page's."""
ASSETS = "assets/"
"""Files whose names change with what is in them."""
FOR_EVER = "public, max-age=31536000, immutable"
CODINGS = (("br", ".br"), ("gzip", ".gz"))
"""What a file may lie beside itself as, the best first."""

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'{socket}; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""https://www.w3.org/TR/CSP3/ - not every browser counts websockets to ourselves as 'self'."""
HEADERS = {
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "vary": "accept-encoding",
}
ASKED = "velocity.asked"
"""In the scope: the path as it was asked for, where it was tidied since."""
HOST = re.compile(r"[a-zA-Z0-9._-]+(:\d{1,5})?")
"""Hosts that a policy can name; IPv6 addresses are none."""

NOT_BUILT = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Velocity</title>
<p>The server runs, but its page is not built: <code>make web</code> builds it. The API and the command line need none.
</html>
"""


class Page:
    """The files in a directory, which may be missing."""

    def __init__(self, directory: Path = STATIC) -> None:
        self._files = StaticFiles(directory=directory, check_dir=False)

    async def find(self, request: Request) -> Response | None:
        """What the page has for this request; None: it is not its."""
        path = request.scope["path"].lstrip("/")
        if request.method not in SAFE or path.partition("/")[0] in API:
            return None
        response = await asyncio.to_thread(self._file, request, path)
        if response is None and _wants_html(request, path):
            response = await asyncio.to_thread(self._index, request) or HTMLResponse(NOT_BUILT)
        if response is not None:
            response.headers["cache-control"] = FOR_EVER if path.startswith(ASSETS) else "no-cache"
            response.headers["content-security-policy"] = _policy(request)
            response.headers.update(HEADERS)
        return response

    def _index(self, request: Request) -> Response | None:
        """With addresses of files that lead to where they are from the place that was asked for: whether a reverse
        proxy shows that below a path of its own is known to the browser alone."""
        up = request.scope.get(ASKED, request.scope["path"]).count("/") - 1
        found = self._look(INDEX)
        if up <= 0 or found is None:
            return self._file(request, INDEX)
        content = Path(found[0]).read_bytes().replace(b'"./', b'"' + b"../" * up)
        headers = {"etag": f'"{hashlib.sha256(content).hexdigest()[:32]}"', "content-length": str(len(content))}
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers={"etag": headers["etag"]})
        return HTMLResponse(b"" if request.method == "HEAD" else content, headers=headers)

    def _file(self, request: Request, path: str) -> Response | None:
        found = self._look(path)
        if found is None:
            return None
        accepted = _accepted(request.headers.get("accept-encoding", ""))
        for coding, suffix in CODINGS:
            if coding in accepted and (packed := self._look(path + suffix)) is not None:
                response = self._files.file_response(*packed, request.scope)
                response.headers["content-encoding"] = coding
                return response
        return self._files.file_response(*found, request.scope)

    def _look(self, path: str) -> tuple[str, os.stat_result] | None:
        """A file below the directory, and nothing else that is there."""
        try:
            file, found = self._files.lookup_path(path)
        except (OSError, ValueError):  # a name that is too long, or none at all
            return None
        return (file, found) if found is not None and stat.S_ISREG(found.st_mode) else None


def _wants_html(request: Request, path: str) -> bool:
    """A person at a browser, who comes to us or to a place within the page; or anybody who asks for the root."""
    return not path or (not path.startswith(ASSETS) and "text/html" in request.headers.get("accept", ""))


def _accepted(header: str) -> set[str]:
    """The codings that a client takes. RFC 9110, 12.5.3"""
    parts = (part.partition(";") for part in header.lower().replace(" ", "").split(","))
    return {coding for coding, _, weight in parts if not re.fullmatch(r"q=0(\.0*)?", weight)}


def _policy(request: Request) -> str:
    scheme = "wss" if is_secure(request) else "ws"
    hosts = (host for host in dict.fromkeys(own_hosts(request)) if HOST.fullmatch(host))
    return POLICY.format(socket="".join(f" {scheme}://{host}" for host in hosts))
