"""The page: its files, what a browser is told about them, and that no path of the API is ever taken for it."""

from __future__ import annotations

import gzip
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from tests.api.world import World
from velocity.api.edge import application
from velocity.api.page import API, NOT_BUILT, Page
from velocity.contract.registry import OPERATIONS

pytestmark = pytest.mark.anyio

HTML = "text/html,application/xhtml+xml,*/*;q=0.8"
SCRIPT = b"console.log('page')\n" * 100


class Site:
    """A server with a page of its own."""

    def __init__(self, w: World, directory: Path) -> None:
        page = Page(directory)
        self.asgi = application(w.server.services, body_limit=1 << 20, cors_origins=(), page=page)

    async def get(self, path: str, method: str = "GET", url: str = "http://velocity", **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named.setdefault("accept-encoding", "identity")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.asgi)) as http:
            return await http.request(method, url + path, headers=named)


@pytest.fixture
def site(w: World, tmp_path: Path) -> Site:
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text('<!doctype html><title>the page</title><script src="./assets/main-1a2b.js">')
    (static / "favicon.svg").write_text("<svg/>")
    script = static / "assets" / "main-1a2b.js"
    script.write_bytes(SCRIPT)
    script.with_name("main-1a2b.js.gz").write_bytes(gzip.compress(SCRIPT))
    script.with_name("main-1a2b.js.br").write_bytes(b"as brotli")
    (tmp_path / "secret.txt").write_text("secret")
    (static / "assets" / "link.txt").symlink_to(tmp_path / "secret.txt")
    return Site(w, static)


@pytest.mark.parametrize("path", ["/", "/machines", "/machines/7/", "/index.html", "/vm", "/users"])
async def test_a_browser_gets_the_page(site: Site, path: str) -> None:
    answer = await site.get(path, accept=HTML)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "the page" in answer.text
    assert answer.headers["cache-control"] == "no-cache"
    again = await site.get(path, accept=HTML, if_none_match=answer.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    assert "default-src 'self'" in again.headers["content-security-policy"]
    head = await site.get(path, "HEAD", accept=HTML)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(answer.content)))


@pytest.mark.holds("PAGE-21")
@pytest.mark.parametrize(
    ("path", "up"),
    [("/", ""), ("/machines", ""), ("/machines/", "../"), ("/machines/7", "../"), ("/machines/7/x/", "../../../")],
)
async def test_the_addresses_in_the_page_lead_to_its_files_from_wherever_it_is_asked_for(
    site: Site, path: str, up: str
) -> None:
    """So a reverse proxy may show it below a path, which the server is not told."""
    told = (await site.get(path, accept=HTML)).text
    assert f'src="{up or "./"}assets/main-1a2b.js"' in told
    below = urljoin(f"https://proxy/velocity{path}", f"{up or './'}assets/main-1a2b.js")
    assert below == "https://proxy/velocity/assets/main-1a2b.js"


async def test_what_a_browser_is_told(site: Site) -> None:
    for path in ("/", "/assets/main-1a2b.js", "/favicon.svg"):
        headers = (await site.get(path, accept=HTML)).headers
        assert headers["content-security-policy"] == (
            "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
            "connect-src 'self' ws://velocity; object-src 'none'; base-uri 'none'; form-action 'self'; "
            "frame-ancestors 'none'"
        )
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert "camera=()" in headers["permissions-policy"]
        assert "strict-transport-security" not in headers
    secure = (await site.get("/", url="https://velocity:8090", accept=HTML)).headers
    assert secure["strict-transport-security"] == "max-age=31536000"
    assert "connect-src 'self' wss://velocity:8090;" in secure["content-security-policy"]
    for forged in ("a; script-src *", "a b", "[::1]:8090", ""):
        policy = (await site.get("/", accept=HTML, host=forged)).headers["content-security-policy"]
        assert "connect-src 'self'; object-src" in policy


async def test_files_come_packed_to_whom_takes_that(site: Site) -> None:
    path = "/assets/main-1a2b.js"
    for accepted, coding in (
        ("gzip, deflate, br, zstd", "br"), ("gzip", "gzip"), ("br;q=0, gzip;q=0.5", "gzip"), ("br;q=0.0", None),
        ("identity", None), ("", None),
    ):  # fmt: skip
        answer = await site.get(path, "HEAD", accept_encoding=accepted)
        assert answer.headers.get("content-encoding") == coding, accepted
        assert answer.headers["vary"] == "accept-encoding"
        assert "javascript" in answer.headers["content-type"]
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (await site.get(path)).content == SCRIPT
    assert (await site.get(path, accept_encoding="gzip")).content == SCRIPT
    tags = {(await site.get(path, "HEAD", accept_encoding=one)).headers["etag"] for one in ("br", "gzip", "")}
    assert len(tags) == 3
    assert (await site.get("/favicon.svg", accept_encoding="br")).headers["cache-control"] == "no-cache"


@pytest.mark.holds("BROWSER-8")
@pytest.mark.parametrize(
    "path",
    ["/v", "/v/", "//v/vm", "/v/vm", "/v/nothing", "/u/session", "/u/nothing", "/m/media/tus/x", "/t/x", "/h/x",
     "/%76/vm", "/openapi.json", "/metrics", "/metrics/x"],
)  # fmt: skip
async def test_no_path_of_the_api_is_the_page(site: Site, path: str) -> None:
    for method in ("GET", "HEAD"):
        answer = await site.get(path, method, accept=HTML)
        assert "text/html" not in answer.headers.get("content-type", "")
        assert "content-security-policy" not in answer.headers
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert {one.path.split("/")[1] for one in OPERATIONS} <= API


async def test_what_is_not_there_is_a_404(site: Site) -> None:
    for path in ("/assets/gone-1.js", "/assets", "/assets/", "/assets/link.txt", "/assets/../../secret.txt",
                 "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/x%00y", "/" + "x" * 5000):  # fmt: skip
        answer = await site.get(path, accept="*/*")
        assert (answer.status_code, answer.json()["code"]) == (404, 404), path
        assert "secret" not in answer.text.replace("secret.txt", "")
        assert answer.headers["cache-control"] == "no-store"
    assert (await site.get("/assets/gone-1.js", accept=HTML)).status_code == 404, "a script is never the page"
    assert (await site.get("/machines", accept="application/json")).status_code == 404, "a program wants no page"
    assert (await site.get("/machines")).status_code == 404
    assert (await site.get("/", accept="*/*")).status_code == 200
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert (await site.get("/machines", method, accept=HTML)).status_code == 404


async def test_a_page_that_is_not_built_says_so(w: World, tmp_path: Path) -> None:
    site = Site(w, tmp_path / "nothing")
    answer = await site.get("/", accept=HTML)
    assert (answer.status_code, answer.text) == (200, NOT_BUILT)
    assert "make web" in answer.text
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert (await site.get("/assets/main.js", accept=HTML)).status_code == 404
    assert (await site.get("/openapi.json")).json()["openapi"].startswith("3.1")
