"""Revisions: a hash of an object, by which a change can name the version that it means to change.

Made of the content, not counted: nothing has to be kept, and what is changed back has its old revision again.
"""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import UNSET, UnsetType

from velocity.contract.problems import Problem, Refused


def revision(*content: object) -> str:
    """Of anything that msgspec can encode."""
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:16]


def check(named: str | UnsetType, present: str) -> None:
    """Raises `Refused(OLD_REVISION)` when a request names another revision than the present one."""
    if named is not UNSET and named != present:
        raise Refused(
            Problem.OLD_REVISION,
            f"it has changed in the meantime, and its revision is now {present}: read it again, then repeat the change",
            field="revision",
        )
