"""The failures that tests see: where TESTS_NOTE_ANSWERS names a file, each refusal that is answered is noted there.

A line is a JSON object: the test, method and path of the request, status and code of the answer. `make failures` makes
docs/reference/failures.json of them.
"""

from __future__ import annotations

import json
import os
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

FILE = "TESTS_NOTE_ANSWERS"
ANY = "*"
"""The method and path of a request that was refused before they were known."""


def note(method: str, path: str, status: int, code: int) -> None:
    """A refusal was answered in the running test."""
    file, test = os.environ.get(FILE), os.environ.get("PYTEST_CURRENT_TEST", "")
    if file and test:
        row = {"test": test.partition(" ")[0].partition("[")[0], "method": method, "path": path}
        line = json.dumps({**row, "status": status, "code": code}) + "\n"
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line.encode())  # one write: several processes note
        finally:
            os.close(descriptor)


def noting(asgi: ASGIApp) -> ASGIApp:
    """The application, whose refusals are noted; itself where nothing is to be."""
    if FILE not in os.environ:
        return asgi

    async def noted(scope: Scope, receive: Receive, send: Send) -> None:
        answer: dict[str, Any] = {"status": 0, "body": b""}

        async def look(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer["status"] = message["status"]
            elif message["type"] == "http.response.body" and answer["status"] >= 400:
                answer["body"] += message.get("body", b"")
                if not message.get("more_body", False):
                    _note(scope, answer["status"], answer["body"])
            await send(message)

        await asgi(scope, receive, look)

    noted.__dict__.update(vars(asgi))  # tests reach for what it has
    return noted


def _note(scope: Scope, status: int, body: bytes) -> None:
    try:
        code = json.loads(body)["code"]
    except (ValueError, KeyError, TypeError):
        return  # to HEAD, or of another protocol
    note(scope["method"], scope["path"], status, code)
