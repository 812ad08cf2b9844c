"""Downloads with ranges are, byte by byte, what a file of the web framework's would be."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette import responses
from starlette.responses import FileResponse

from velocity.api import download
from velocity.storage.port import Stat

pytestmark = pytest.mark.anyio

DATA = bytes(range(250))
HEADERS = {"cache-control": "no-store"}
Numbers = st.one_of(st.just(""), st.integers(-3, 300).map(str), st.sampled_from(["x", " 7 ", "1_0"]))
Ranges = st.lists(st.builds("{}-{}".format, Numbers, Numbers) | st.sampled_from(["", "-", "5", "1-2-3"]), max_size=4)
Asked = st.builds(
    "{}{}".format, st.sampled_from(["bytes=", "bytes =", "Bytes=", "lines=", "bytes"]), Ranges.map(",".join)
)


class Read:
    """An object that is read."""

    def __init__(self, stat: Stat) -> None:
        self.stat = stat
        self.closed = 0

    async def read(self, offset: int, length: int) -> bytes:
        return DATA[offset : offset + length]

    async def close(self) -> None:
        self.closed += 1


async def answered(app: Any, method: str, headers: dict[str, str]) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        answer = await http.request(method, "http://velocity/", headers=headers)
        return answer.status_code, answer.headers.raw, answer.content


@pytest.mark.parametrize("name", ["disk.raw", "a disk \u00e4"])
@given(
    asked=Asked, method=st.sampled_from(["GET", "HEAD"]), condition=st.sampled_from(["", "", "etag", "date", "other"])
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
async def test_a_range_is_answered_as_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, asked: str, method: str, condition: str
) -> None:
    monkeypatch.setattr(download, "token_hex", lambda length: "ab" * length)
    monkeypatch.setattr(responses, "token_hex", lambda length: "ab" * length)
    monkeypatch.setattr(download, "CHUNK", 100)
    file = tmp_path / "file"
    file.write_bytes(DATA)
    facts = file.stat()
    theirs = FileResponse(
        file, headers=HEADERS, media_type="application/octet-stream", filename=name, stat_result=facts
    )
    read = Read(Stat(facts.st_size, 0, facts.st_mtime))
    held = AsyncExitStack()
    held.push_async_callback(read.close)
    ours = download.Content(read, HEADERS, name, lambda: None, held)
    assert ours.raw_headers == theirs.raw_headers
    headers = {"range": asked}
    if condition:
        current = {"etag": theirs.headers["etag"], "date": theirs.headers["last-modified"], "other": "W/yesterday"}
        headers["if-range"] = current[condition]
    assert await answered(ours, method, headers) == await answered(theirs, method, headers)
    assert read.closed == 1
