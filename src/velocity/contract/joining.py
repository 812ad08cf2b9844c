"""The token of `velocity node token`, and how both sides prove that they have it without sending it.

Each side signs what it sends with the secret (HMAC, RFC 2104). So on a network without TLS, nobody can replace the
authority, the request or the address, and listening reveals nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import msgspec
from msgspec import Struct

from velocity.contract.nodes import Joined, JoinNode

MARK = "vnt1."
"""Begins each token: what it is, and the version of its format."""
SECRET = 32
"""Bytes."""


class BadToken(Exception):
    """Not a valid token."""


class NodeToken(Struct, frozen=True, array_like=True):
    """`authority` is the SHA-256 of the authority's certificate, in hexadecimal."""

    urls: list[str]
    authority: str
    secret: bytes

    def __str__(self) -> str:
        return MARK + base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).decode().rstrip("=")

    @classmethod
    def read(cls, word: str) -> NodeToken:
        """Parse a token. Raises `BadToken`."""
        text = word.strip().removeprefix(MARK)
        try:
            token = msgspec.msgpack.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=cls)
        except (msgspec.MsgspecError, binascii.Error, ValueError):
            raise BadToken from None
        if len(token.secret) != SECRET or not token.urls or not word.strip().startswith(MARK):
            raise BadToken
        return token


def is_here(url: str) -> bool:
    """Whether all URLs lead from any machine to that machine itself."""
    return url.partition("://")[2].startswith(("127.", "localhost", "[::1]"))


def name(secret: bytes) -> str:
    """An identifier of the token, which reveals nothing about its secret."""
    return hashlib.sha256(b"velocity node token name\0" + secret).hexdigest()


def key(secret: bytes) -> bytes:
    """The key for proofs; the server stores this instead of the secret."""
    return hashlib.sha256(b"velocity node token key\0" + secret).digest()


def proof(key: bytes, said: JoinNode | Joined) -> str:
    """The proof of a message: over all fields except `proof` and `plan`."""
    fields: dict[str, Any] = msgspec.to_builtins(said)
    rest = {name: value for name, value in sorted(fields.items()) if name not in ("proof", "plan")}
    return hmac.new(key, msgspec.json.encode([type(said).__name__, rest]), hashlib.sha256).hexdigest()


def proves(key: bytes, said: JoinNode | Joined) -> bool:
    return hmac.compare_digest(proof(key, said), said.proof)
