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
"""Where the build puts the files; the wheel contains them."""
INDEX = "index.html"
API = frozenset({"v", "u", "m", "t", "h", "openapi.json", "metrics"})
"""First parts of paths that never belong to the page."""
ASSETS = "assets/"
"""Files whose names contain a hash of their content."""
FOR_EVER = "public, max-age=31536000, immutable"
CODINGS = (("br", ".br"), ("gzip", ".gz"))
"""Encodings in which a file may exist beside itself, the best first."""

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'{socket}; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""https://www.w3.org/TR/CSP3/ - not every browser counts websockets to the page's own host as 'self'."""
HEADERS = {
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "vary": "accept-encoding",
}
ASKED = "velocity.asked"
"""Key in the scope: the path as requested, if it was normalized."""
HOST = re.compile(r"[a-zA-Z0-9._-]+(:\d{1,5})?")
"""Hosts that the policy can name, which excludes IPv6 addresses."""

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
        """The page's response to this request; None if the path does not belong to the page."""
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
        """index.html with relative addresses of files, as seen from the requested path: only the browser knows under
        which path a reverse proxy shows us.
        """
        up = request.scope.get(ASKED, request.scope["path"]).count("/") - 1
        found = self._regular_file(INDEX)
        if up <= 0 or found is None:
            return self._file(request, INDEX)
        content = Path(found[0]).read_bytes().replace(b'"./', b'"' + b"../" * up)
        headers = {"etag": f'"{hashlib.sha256(content).hexdigest()[:32]}"', "content-length": str(len(content))}
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers={"etag": headers["etag"]})
        return HTMLResponse(b"" if request.method == "HEAD" else content, headers=headers)

    def _file(self, request: Request, path: str) -> Response | None:
        found = self._regular_file(path)
        if found is None:
            return None
        accepted = _accepted(request.headers.get("accept-encoding", ""))
        for coding, suffix in CODINGS:
            if coding in accepted and (packed := self._regular_file(path + suffix)) is not None:
                response = self._files.file_response(*packed, request.scope)
                response.headers["content-encoding"] = coding
                return response
        return self._files.file_response(*found, request.scope)

    def _regular_file(self, path: str) -> tuple[str, os.stat_result] | None:
        """A regular file below the directory."""
        try:
            file, found = self._files.lookup_path(path)
        except (OSError, ValueError):  # such as a name that is too long
            return None
        return (file, found) if found is not None and stat.S_ISREG(found.st_mode) else None


def _wants_html(request: Request, path: str) -> bool:
    """Whether to send the page: to browsers for any place within it, and to anybody who asks for the root."""
    return not path or (not path.startswith(ASSETS) and "text/html" in request.headers.get("accept", ""))


def _accepted(header: str) -> set[str]:
    """The encodings that a client accepts. RFC 9110, 12.5.3"""
    parts = (part.partition(";") for part in header.lower().replace(" ", "").split(","))
    return {coding for coding, _, weight in parts if not re.fullmatch(r"q=0(\.0*)?", weight)}


def _policy(request: Request) -> str:
    scheme = "wss" if is_secure(request) else "ws"
    hosts = (host for host in dict.fromkeys(own_hosts(request)) if HOST.fullmatch(host))
    return POLICY.format(socket="".join(f" {scheme}://{host}" for host in hosts))
