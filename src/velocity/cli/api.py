"""`velocity api`."""

from __future__ import annotations

import sys

import click
import msgspec

from velocity.cli import connection


@click.command()
@click.argument("method", type=click.Choice(["POST", "PUT", "PATCH", "DELETE", "GET"], case_sensitive=False))
@click.argument("path")
@click.argument("body", required=False)
def api(method: str, path: str, body: str | None) -> None:
    """Send METHOD PATH with the JSON BODY (`-` reads it from standard input) and print the response.

    \b
    velocity api POST /v/vm/list '{"gid": 0}'
    """
    content = sys.stdin.buffer.read() if body == "-" else (body or "").encode()
    answer = connection.connect().send(method.upper(), path, content)
    try:
        click.echo(msgspec.json.format(answer, indent=2))
    except msgspec.DecodeError:
        click.echo(answer)
