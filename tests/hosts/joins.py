"""A machine that joins by the API, and serves nothing: a host that does not answer."""

from __future__ import annotations

from pathlib import Path

from tests.patience import at_last
from velocity.client import Client
from velocity.contract.joining import NodeToken
from velocity.contract.nodes import JOIN
from velocity.node import joining


def join(client: Client, directory: Path, name: str) -> int:
    """Its id. It has been found not to answer when this returns."""
    token = NodeToken.read(client.make_node_token().token)
    draft = joining.begin(directory / name, token)
    host = client.call(JOIN, joining.asked(draft, token, name, "127.0.0.1:1")).host
    at_last(lambda: "does not answer" in str(client.show_node(host=host).message))
    return host
