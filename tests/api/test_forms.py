"""Uploads that are forms (multipart/form-data), as browsers send them: in one request, and over several."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.api.test_transfers import begin, patch
from tests.api.world import World

pytestmark = pytest.mark.anyio

BOUNDARY = b"----WebKitFormBoundary7MA4YWxkTrZu0gW"
ALMOST = b"\r\n--" + BOUNDARY[:-1]
FILE = os.urandom(200_000) + ALMOST + b"X\r\n--\r\n" + b"\r\n" * 50 + os.urandom(5) + b"\r"
NAMED = b'Content-Disposition: form-data; name="file"; filename="disk, 1.iso"\r\nContent-Type: application/octet-stream'
FIELD = b'Content-Disposition: form-data; name="token"'
Part = tuple[bytes, bytes]


def form(*parts: Part, end: bytes = b"--\r\n") -> bytes:
    told = b"".join(b"--" + BOUNDARY + b"\r\n" + head + b"\r\n\r\n" + body + b"\r\n" for head, body in parts)
    return told + b"--" + BOUNDARY + end


async def send(w: World, way: str, body: bytes, size: int = 1 << 20, **more: str) -> tuple[int, Any]:
    """Status and answer; in pieces of `size`."""
    if way == "plain":

        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(body), size):
                yield body[at : at + size]

        headers = {f"x_velocity_{name}": value for name, value in more.items()}
        answer = await w.upload(pieces(), x_velocity_length=str(len(body)), x_velocity_type="DISK", **headers)
        return answer.status, answer.body
    place = await begin(w, len(body), **{"name": "upload", **more})
    for at in range(0, len(body), size):
        told = await patch(w, place, at, body[at : at + size])
        if told.status_code != 204:
            return told.status_code, told.json()
    names = ("mid", "size", "unwrapped")
    return 200, {name: told.headers.get(f"x-velocity-{name}") for name in names}


@pytest.mark.holds("IMAGE-19")
@pytest.mark.parametrize("way", ["plain", "tus"])
@pytest.mark.parametrize("size", [1 << 20, 70_001, 25_003])
async def test_an_upload_that_is_a_form_is_the_file_in_it(w: World, way: str, size: int) -> None:
    """Whatever lies in it, wherever it is cut into pieces, and whichever of the two the checksum is of."""
    for number, (parts, end) in enumerate(
        [
            ([(NAMED, FILE)], b"--\r\n"),
            ([(NAMED, FILE)], b"--"),
            ([(FIELD, b"x" * 300), (NAMED, FILE), (FIELD, b"y")], b"--\r\n"),
        ]
    ):
        body = form(*parts, end=end)
        sum_ = hashlib.sha256(body if number else FILE).hexdigest()
        status, made = await send(w, way, body, size, name=f"n{number}", sha256=sum_)
        assert status == 200, made
        assert (w.data / "media" / f"{made['mid']}.raw").read_bytes() == FILE
        assert (int(made["size"]), str(made["unwrapped"]).lower()) == (len(FILE), "true")
    listed = (await w.ok("POST", "/m/media/list", gid=0))["media"]
    assert {one["size"] for one in listed} == {len(FILE)}
    assert (await w.ok("POST", "/m/pool/list", gid=0))["pools"][0]["used"] == 3 * len(FILE)


@pytest.mark.holds("IMAGE-20")
@pytest.mark.parametrize("way", ["plain", "tus"])
async def test_a_form_that_is_not_one_file_is_refused_in_words(w: World, way: str) -> None:
    whole = form((NAMED, FILE))
    refused = {
        "several files": form((NAMED, FILE), (NAMED, b"more")),
        "no file": form((FIELD, b"a value")),
        "has no file": form(),
        "file is empty": form((NAMED, b"")),
        "was cut": whole[: -len(BOUNDARY)],
        "it was cut": form((NAMED, FILE), end=b"--\r\nand more"),
        "cannot be read": form((NAMED, FILE), end=b"x\r\n"),
    }
    for words, body in refused.items():
        for size in (1 << 20, 30_011):
            status, answer = await send(w, way, body, size)
            assert (status, answer["code"]) == (400, 400), (words, answer)
            assert words in answer["message"] and "form" in answer["message"], answer
            assert w.files() == []
    status, answer = await send(w, way, whole, sha256="0" * 64)
    assert (status, answer["code"]) == (406, 9223)
    assert (await w.ok("POST", "/m/pool/list", gid=0))["pools"][0]["used"] == 0


@pytest.mark.holds("IMAGE-19")
@pytest.mark.parametrize("way", ["plain", "tus"])
async def test_what_only_begins_like_a_form_stays_as_it_is(w: World, way: str) -> None:
    mail = b"--b\r\nContent-Disposition: attachment; filename=x\r\n\r\nhello\r\n--b--\r\n"
    for number, body in enumerate(
        [b"-", b"--", b"--\n", b"--b\r\n", mail, b"--" + b"x" * 9000, b"---- a note\r\n" * 900]
    ):
        for size in (1, 1 << 20) if len(body) < 100 else (1 << 20,):
            status, made = await send(w, way, body, size, name=f"n{number} {size}")
            assert status == 200, made
            assert (w.data / "media" / f"{made['mid']}.raw").read_bytes() == body
            assert made.get("unwrapped") is None


@pytest.mark.holds("IMAGE-19")
async def test_the_quota_counts_the_file_and_not_its_wrapping(w: World) -> None:
    gid = await w.group("a")
    await w.ok("PUT", "/m/pool/assign", gid=gid, mpid=1, quota=len(FILE), write=True, manage=True)
    answer = await w.upload(form((NAMED, FILE + b"x")), x_velocity_gid=str(gid))
    assert (answer.status, answer.code) == (406, 9221)
    answer = await w.upload(form((NAMED, FILE)), x_velocity_gid=str(gid))
    assert answer.status == 200, answer
    assert (await w.ok("POST", "/m/pool/list", gid=gid))["pools"][0]["left"] == 0
