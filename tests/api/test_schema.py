"""schemathesis over the OpenAPI document: no 500, no undeclared status, no answer off its schema.

Against a server that listens, with a bounded number of requests for each operation; the first of them is the example
of the document, with ids that are there.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.transport.serialization import serialize_binary

from tests.api.world import PASSWORD
from tests.host import Host
from velocity.client import Client
from velocity.contract.events import WATCH
from velocity.contract.openapi import build
from velocity.hypervisor.fake import FakeAgent

SHORT, WHOLE = 8, 60
"""Requests for each operation."""
ENDLESS = f"GET {WATCH.path}"
ENDS_SESSIONS = ("DELETE /u/auth", "PATCH /u/auth", "DELETE /u/session", "PATCH /u/session")
CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
ROOT = {"name": "root", "password": PASSWORD}
IDS: dict[str, Any] = {
    "uid": 0, "gid": 0, "mpid": 1, "vmid": 2, "nicid": 1, "tid": 1, "trid": 1, "display": "display0", "host": 1,
    "Upload-Length": 2,
    "Upload-Metadata": ",".join(f"{key} {b64encode(value).decode()}" for key, value in (
        ("mpid", b"1"), ("gid", b"0"), ("name", b"tus"), ("type", b"ISO"), ("readonly", b"false"))),
}  # fmt: skip
"""What the examples are sent with; but for some operations:"""
OTHER_IDS: dict[str, dict[str, Any]] = {
    "POST /u/auth": ROOT, "PUT /u/session": ROOT, "PATCH /u/user": {"old_password": PASSWORD},
    "DELETE /u/user": {"uid": 1}, "DELETE /u/user/permission": {"uid": 1, "gid": 1}, "DELETE /u/group": {"gid": 1},
    "PUT /m/pool/assign": {"gid": 1}, "DELETE /m/pool/assign": {"gid": 1}, "DELETE /v/vm": {"vmid": 1},
    "PUT /v/vm/clone": {"vmid": 1},
}  # fmt: skip
REFUSED = {
    "PUT /m/media/import", "DELETE /m/media/upload", "GET /v/vm/console/{ticket}", "DELETE /h/node", "PUT /h/node/join",
    "PUT /v/vm/host", "PUT /h/node/drain", "PUT /h/node/fence", "POST /h/node/fence", "PATCH /h/node/fence",
    "DELETE /h/node/fence", "PUT /h/node/dead", "PUT /h/node/blocklist",
}  # fmt: skip
"""An empty medium is no image, no upload is under way then, these requests open no websockets, and
the server's own host stays, joins nothing and is not lost; there is no other one that VMs could move to."""


@schemathesis.serializer("application/offset+octet-stream")
def tus_content(_context: schemathesis.SerializationContext, value: Any) -> bytes:
    return serialize_binary(value)


class Callers:
    """Sends cases as root. What ends sessions comes with one of its own."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.own = ""

    def call(self, case: Any) -> Any:
        label = case.operation.label
        if label not in ENDS_SESSIONS:
            return self._send(case, self.host.key)
        if not self.own:
            with Client(self.host.url) as client:
                self.own = client.sign_in(name="root", password=PASSWORD).authkey
        response = self._send(case, self.own)
        if response.status_code == 200:
            self.own = ""
        return response

    def _send(self, case: Any, key: str) -> Any:
        response = case.call(base_url=self.host.url, headers={"authorization": f"Bearer {key}"})
        case.validate_response(response, checks=CHECKS)
        return response


def operations() -> list[Any]:
    """Those that need sessions of their own come first: wrong passwords of others make signing in wait."""
    every = list(schemathesis.openapi.from_dict(build()).get_all_operations())
    found = [one.ok() for one in every if isinstance(one, Ok)]
    assert len(found) == len(every)
    wanted = [one for one in found if one.label != ENDLESS]
    return sorted(wanted, key=lambda one: one.label not in ENDS_SESSIONS)


def with_ids(example: Any, ids: dict[str, Any]) -> Any:
    """An example of the document, with ids that are there."""
    if isinstance(example, dict):
        return {key: ids.get(key, with_ids(value, ids)) for key, value in example.items()}
    return [with_ids(one, ids) for one in example] if isinstance(example, list) else example


def first(operation: Any, ids: dict[str, Any]) -> Any:
    """The example, as a plan where there are any."""
    raw = operation.definition.raw
    told: dict[str, Any] = {"header": {}, "query": {}, "path": {}}
    for one in raw.get("parameters", ()):
        if one.get("required") or one.get("name") in ("x-velocity-plan", "x-velocity-length"):
            schema = one["schema"]
            shown = one.get("example", schema["enum"][-1] if "enum" in schema else schema.get("minimum", "x"))
            told[one["in"]][one["name"]] = str(ids.get(one["name"], "true" if "plan" in one["name"] else shown))
    more: dict[str, Any] = {}
    if "requestBody" in raw:
        ((more["media_type"], content),) = raw["requestBody"]["content"].items()
        more["body"] = with_ids(content["example"], ids) if "example" in content else b"x"
    if operation.method in ("put", "patch", "delete") and isinstance(more.get("body"), dict):
        more["body"]["plan"] = True
    return operation.Case(headers=told["header"], query=told["query"], path_parameters=told["path"], **more)


def furnish(host: Host) -> dict[str, Any]:
    """What there is to ask for."""
    for words in ("group create one", "user create bob --password-stdin", "pool assign default one --manage",
                  "user grant bob vm.view --group one", "media create disk --size 1M", "media clone disk copy",
                  "media create gone --size 1M", "media rm gone", "vm create off --memory 64M",
                  "vm create on --memory 64M --display 64x64", "vm start on"):  # fmt: skip
        host.ok(*words.split(), typed="correct horse\n" if "password" in words else None)
    agent = FakeAgent()
    agent.files["/etc/hostname"] = bytearray(b"on")
    host.hypervisor.guests.agents.update(dict.fromkeys(host.hypervisor.runs, agent))
    with Client(host.url, authkey=host.key) as client:
        mid = next(one.mid for one in client.list_media(gid=0).media if one.name == "disk")
    return {**IDS, "mid": str(mid)}


@pytest.mark.holds("API-1")
@pytest.mark.long
@pytest.mark.whole
def test_no_answer_is_off_the_document(host: Host, say: Callable[[str], None], whole: bool) -> None:
    callers, ids, refused = Callers(host), furnish(host), {}
    counted = dict.fromkeys(("requests", "granted"), 0)
    for operation in operations():
        response = callers.call(first(operation, ids | OTHER_IDS.get(operation.label, {})))
        if "location" in response.headers:
            ids["upload"] = response.headers["location"][0].rpartition("/")[2]
        if response.status_code >= 300:
            refused[operation.label] = response.text
    assert set(refused) == REFUSED, refused
    for operation in operations():

        @hypothesis.settings(
            max_examples=WHOLE if whole else SHORT,
            deadline=None,
            derandomize=not whole,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy())
        def vary(case: Any) -> None:
            response = callers.call(case)
            counted["requests"] += 1
            counted["granted"] += response.status_code < 300

        vary()
    say(f"schemathesis: {counted['requests']} requests, {counted['granted']} of them granted, none off the document")
    assert counted["granted"] > 100, "it must reach beyond what is refused"
