"""schemathesis over the OpenAPI document: no 500, no undeclared status, no answer off its schema.

Against a server that listens, with a bounded number of requests for each operation.
"""

from __future__ import annotations

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

from tests.host import Host
from velocity.contract.events import WATCH
from velocity.contract.openapi import build

SHORT, WHOLE = 13, 60
"""Requests for each operation."""
ENDLESS = ("DELETE /u/auth", "PATCH /u/auth", "DELETE /u/session", "PATCH /u/session", f"GET {WATCH.path}")
CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.mark.holds("API-1")
@pytest.mark.long
@pytest.mark.whole
def test_no_answer_is_off_the_document(host: Host, say: Callable[[str], None], whole: bool) -> None:
    host.ok("group", "create", "one")
    host.ok("media", "create", "disk", "--size", "1M")
    host.ok("vm", "create", "vm", "--memory", "64M", "--display", "64x64")
    schema = schemathesis.openapi.from_dict(build())
    counted = dict.fromkeys(("requests", "granted"), 0)
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if operation.label in ENDLESS:
            continue  # would end the session that the others work with, or never end

        @hypothesis.settings(
            max_examples=WHOLE if whole else SHORT,
            deadline=None,
            derandomize=not whole,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy())
        def vary(case: Any) -> None:
            response = case.call(base_url=host.url, headers={"authorization": f"Bearer {host.key}"})
            counted["requests"] += 1
            counted["granted"] += response.status_code == 200
            case.validate_response(response, checks=CHECKS)

        vary()
    say(f"schemathesis: {counted['requests']} requests, {counted['granted']} of them granted, none off the document")
    assert counted["granted"] > 100, "it must reach beyond what is refused"
