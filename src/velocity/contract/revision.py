"""Revisions: a hash of an object, with which a change can name the version that it is meant for.

A hash of the content needs no storage, unlike a counter; an object that is changed back has its old revision again.
"""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import UNSET, UnsetType

from velocity.contract.problems import Problem, Refused


def revision(*content: object) -> str:
    """The revision of anything that msgspec can encode."""
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:16]


def check(named: str | UnsetType, present: str) -> None:
    """Raises `Refused(OLD_REVISION)` if the request names another revision than the present one."""
    if named is not UNSET and named != present:
        raise Refused(
            Problem.OLD_REVISION,
            f"it has changed in the meantime, and its revision is now {present}: read it again, then repeat the change",
            field="revision",
        )
