"""A browser, as far as the API sees one: it keeps the cookie and adds it to everything, as its page adds the csrf."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http.cookies import Morsel, SimpleCookie
from typing import Any

import httpx

from tests.api.world import PASSWORD, Answer, World

URL = "http://velocity"


@dataclass
class Browser:
    """`origin` is that of the page that makes it send; a page of ours also sends the csrf, if it knows one."""

    w: World
    url: str = URL
    cookie: str = ""
    csrf: str | None = None
    origin: str | None = URL
    agent: str = "Browser/1.0"
    morsel: Morsel[str] | None = None
    last: httpx.Response = field(default_factory=lambda: httpx.Response(0))

    async def sign_in(self, name: str = "root", password: str = PASSWORD, **more: Any) -> Answer:
        answer = await self.call("PUT", "/u/session", name=name, password=password, **more)
        assert answer.status == 200, answer
        self.csrf = answer["csrf"]
        return answer

    async def call(self, method: str, path: str, /, **body: Any) -> Answer:
        response = await self.send(method, path, json.dumps(body).encode())
        return Answer(response.status_code, response.json())

    async def refused(self, method: str, path: str, /, **body: Any) -> tuple[int, int]:
        answer = await self.call(method, path, **body)
        assert answer["error"] is True
        return answer.status, answer.code

    async def send(self, method: str, path: str, content: Any = b"", **headers: str) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent["user-agent"] = self.agent
        if self.cookie:
            sent["cookie"] = f"other=1; velocity={self.cookie}"
        if self.csrf is not None:
            sent.setdefault("x-velocity-csrf", self.csrf)
        if self.origin is not None:
            sent.setdefault("origin", self.origin)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.w.server.asgi)) as http:
            coded = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
            self.last = await http.request(method, self.url + path, content=content, headers=coded)
        for value in self.last.headers.get_list("set-cookie"):
            self.morsel = SimpleCookie(value)["velocity"]
            self.cookie = self.morsel.value
        return self.last
