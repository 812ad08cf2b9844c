"""The paths of the OpenAPI document with their own verbs and statuses: downloads, pictures, metrics, the event stream,
resumable uploads (tus) and the websockets of consoles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from velocity.contract import events, media, metrics, screens
from velocity.contract.consoles import CONSOLE, SUBPROTOCOL
from velocity.contract.operation import Operation

Described = dict[str, Any]
Describe = Callable[[Operation[Any, Any], str], Described]
"""Makes the description of an operation, with what all operations share, under another summary."""

_TEXT: Described = {"type": "string", "maxLength": 64}
_NUMBER: Described = {"type": "integer", "minimum": 0}
_MOMENT: Described = {"type": "string", "description": "a date of HTTP"}
_BYTES: Described = {"type": "string", "format": "binary"}
_TUS = {"name": "Tus-Resumable", "in": "header", "required": True, "schema": {"type": "string", "enum": ["1.0.0"]}}


def paths(describe: Describe, of_events: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Path -> method -> description. `of_events` are the schemas of the events, by name."""
    upload = f"{media.RESUMABLE.path}/{{upload}}"
    return {
        events.WATCH.path: {"get": _stream(describe, of_events)},
        f"{media.DOWNLOAD.path}/{{mid}}": {"get": _download(describe)},
        screens.SCREEN.path: {"get": _picture(describe)},
        metrics.EXPOSITION.path: {"get": _metrics(describe)},
        f"{CONSOLE.path}/{{ticket}}": {"get": _console(describe)},
        media.RESUMABLE.path: {"options": _tus_options(describe, "tus_options"), "post": _tus_create(describe)},
        upload: {
            "options": _tus_options(describe, "tus_upload_options", _place("upload", {"type": "string"})),
            **{method: _tus(describe, method) for method in _TUS_VERBS},
        },
        "/openapi.json": {"get": _document(describe)},
        "/health": {"get": _health(describe)},
    }


def _stream(describe: Describe, of_events: dict[str, Any]) -> Described:
    """OpenAPI 3.1 cannot describe the types of events: an extension lists them by name."""
    described = describe(events.WATCH, events.WATCH.name)
    described["responses"]["200"] = {
        "description": f"server-sent events: {', '.join(of_events)}; the data of each is JSON",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "x-events": of_events,
    }
    described["parameters"] = [
        _given("Last-Event-ID", "header", _TEXT, "the id of the last event received; the stream continues after it"),
        _given("last", "query", _TEXT, "the same, for clients that cannot send headers"),
    ]
    return described


def _download(describe: Describe) -> Described:
    described = describe(media.DOWNLOAD, media.DOWNLOAD.name)
    described["parameters"] = [
        _place("mid", {"type": "string", "format": "uuid"}),
        _given("Range", "header", {"type": "string"}, "the bytes wanted, such as `bytes=0-1023`"),
        _given("If-Range", "header", {"type": "string"}, "the etag of what is there already"),
    ]
    ranges = {"Content-Range": {"type": "string"}}
    described["responses"] |= {
        "200": _answer("the file", "application/octet-stream", _BYTES, {"ETag": _TEXT, "Last-Modified": _MOMENT}),
        "206": _answer("the ranges that were asked for", "application/octet-stream", _BYTES, ranges),
        "416": _answer("no such range", "text/plain", {"type": "string"}, ranges),
    }
    described["responses"]["206"]["content"]["multipart/byteranges"] = {"schema": _BYTES}
    described["responses"]["400"]["content"]["text/plain"] = {"schema": {"type": "string"}}
    return described


def _picture(describe: Describe) -> Described:
    described = describe(screens.SCREEN, "screen_png")
    described["summary"] = "Take a picture of a display, as a PNG"
    vmid = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
    width = {"type": "integer", "minimum": 16, "maximum": 8192}
    described["parameters"] = [
        {**_given("vmid", "query", vmid, "the id of a virtual machine"), "required": True},
        _given("display", "query", {"type": "string", "maxLength": 128}, "its name; absent: the first display"),
        _given("width", "query", width, "pixels to scale it to; absent: as wide as it is"),
        _given("If-None-Match", "header", {"type": "string"}, "the etag of the picture that is there already"),
    ]
    etag = {"ETag": {"type": "string"}}
    described["responses"]["200"] = _answer("the picture", "image/png", _BYTES, etag)
    described["responses"]["304"] = _bare("it is still the one with that etag", etag)
    return described


def _metrics(describe: Describe) -> Described:
    described = describe(metrics.EXPOSITION, metrics.EXPOSITION.name)
    text = {"schema": {"type": "string"}}
    described["responses"]["200"] = {
        "description": "the metrics",
        "content": {"application/openmetrics-text": text, "text/plain": text},
    }
    return described


def _console(describe: Describe) -> Described:
    described = describe(CONSOLE, "console_websocket")
    described |= {
        "summary": "A websocket: the serial console in binary frames, or the display in RFB",
        "description": "The path with its ticket comes from POST /v/vm/console. With the subprotocol "
        f"`{SUBPROTOCOL}`, text frames of a serial console are JSON about who types.",
        "security": [],
        "parameters": [_place("ticket", {"type": "string"})],
    }
    error = described["responses"]["400"]["content"]["application/json"]["schema"]
    for status, text in _CONSOLE.items():
        described["responses"][status] = _answer(text, "application/json", error)
    described["responses"]["101"] = _bare("it is a websocket from now on", {"Upgrade": {"const": "websocket"}})
    return described


_CONSOLE = {
    "403": "403: the authkey or the permission is no longer valid, or the page is of another origin",
    "404": "404: the ticket is unknown, was used, or is older than 30 seconds",
    "410": "410: the VM has stopped",
    "426": "426: the request does not ask for a websocket",
    "503": "503: the VM's host does not respond",
}


def _document(describe: Describe) -> Described:
    return {
        "operationId": "openapi",
        "summary": "Show this document",
        "description": "No permission is needed: it is the same for all.",
        "tags": ["openapi"],
        "security": [],
        "responses": {
            "200": _answer("OpenAPI 3.1", "application/json", {"type": "object"}),
            **{status: describe(metrics.EXPOSITION, "")["responses"][status] for status in ("405", "429", "503")},
        },
    }


def _health(describe: Describe) -> Described:
    told = {"type": "object", "properties": {"status": {"type": "string", "const": "leading"}}, "required": ["status"]}
    return {
        "operationId": "health",
        "summary": "Show whether this server leads, for load balancers",
        "description": "No permission is needed, and no database is asked. 503 where another server leads (`status` "
        "`standby`), or it cannot serve now (`not ready`).",
        "tags": ["health"],
        "security": [],
        "responses": {
            "200": _answer("it leads", "application/json", told),
            **{status: describe(metrics.EXPOSITION, "")["responses"][status] for status in ("405", "429", "503")},
        },
    }


# --- tus 1.0.0: https://tus.io/protocols/resumable-upload ---

_STATE = {"Upload-Offset": _NUMBER, "Upload-Length": _NUMBER, "Upload-Expires": _MOMENT}
_DONE = {
    "x-velocity-mid": {"type": "string", "format": "uuid", "description": "after the last byte: the medium"},
    "x-velocity-content": {"type": "string", "description": "what was recognized in it: percent-encoded JSON"},
}
_TUS_VERBS = {
    "head": ("tus_state", "Show how much of a resumable upload has arrived", "200", _STATE),
    "patch": ("tus_send", "Send bytes of a resumable upload; the last one creates the medium", "204", _STATE | _DONE),
    "delete": ("tus_end", "End a resumable upload: nothing of it remains", "204", {}),
}


def _tus_options(describe: Describe, name: str, *parameters: Described) -> Described:
    described = describe(media.RESUMABLE, name)
    supported = {"Tus-Version": _TEXT, "Tus-Extension": {"type": "string"}}
    return described | {
        "summary": "Show which versions and extensions of tus the server supports",
        "description": "No permission is needed.",
        "security": [],
        "parameters": [*parameters],
        "responses": {**_refusals(described), "204": _bare("the versions and extensions of tus", supported)},
    }


def _tus_create(describe: Describe) -> Described:
    described = describe(media.RESUMABLE, "tus_create")
    metadata = (
        "mpid, gid, name, type, readonly and, optionally, sha256: each a key and its value in base64, with commas"
    )
    return described | {
        "summary": "Begin a resumable upload (tus 1.0)",
        "parameters": [
            _TUS,
            {**_given("Upload-Length", "header", {**_NUMBER, "minimum": 1}, "bytes"), "required": True},
            {**_given("Upload-Metadata", "header", {"type": "string"}, metadata), "required": True},
        ],
        "responses": {
            **_refusals(described),
            "201": _bare("it can be sent to `Location`", {"Location": {"type": "string"}, **_STATE}),
        },
    }


def _tus(describe: Describe, method: str) -> Described:
    name, summary, status, headers = _TUS_VERBS[method]
    described = describe(media.RESUMABLE, name)
    described |= {
        "summary": summary,
        "parameters": [_place("upload", {"type": "string"}), _TUS],
        "responses": {**_refusals(described), status: _bare("done", headers)},
    }
    if method == "patch":
        described["parameters"].append({**_given("Upload-Offset", "header", _NUMBER, "as it stands"), "required": True})
        described["requestBody"] = {
            "required": True,
            "content": {"application/offset+octet-stream": {"schema": _BYTES}},
        }
        described["responses"]["415"] = described["responses"]["400"] | {"description": "415: another Content-Type"}
    return described


def _refusals(described: Described) -> Described:
    return {
        **described["responses"],
        "412": _bare("Tus-Resumable is missing, or another version", {"Tus-Version": _TEXT}),
    }


def _place(name: str, schema: Described) -> Described:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _given(name: str, where: str, schema: Described, description: str) -> Described:
    return {"name": name, "in": where, "schema": schema, "description": description}


def _bare(description: str, headers: Described) -> Described:
    """A response without a body."""
    told = {name: {"schema": {"type": "string", **schema}} for name, schema in headers.items()}
    return {"description": description, **({"headers": told} if told else {})}


def _answer(description: str, kind: str, schema: Described, headers: Described | None = None) -> Described:
    return {**_bare(description, headers or {}), "content": {kind: {"schema": schema}}}
