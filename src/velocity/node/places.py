"""The files of a node's identity, in its data directory, which no server can then use."""

from __future__ import annotations

from pathlib import Path


def machine(data_dir: Path) -> Path:
    """The file with the UUID of a server's machine; a node's is in its identity."""
    return data_dir / "host.json"


def identity(data_dir: Path) -> Path:
    """The file with its key; it exists once the machine has joined a server."""
    return data_dir / "node" / "identity.json"


def former(data_dir: Path) -> Path:
    """The file with the former identity as a node, of a host that became the server."""
    return data_dir / "node" / "former.json"


def term(data_dir: Path) -> Path:
    """The file with the highest term that it has served."""
    return data_dir / "node" / "term.json"


def copies(data_dir: Path) -> Path:
    """The directory of the copies of the server's database."""
    return data_dir / "node" / "copies"


def draft(data_dir: Path) -> Path:
    """The file of a join request without an answer."""
    return data_dir / "node" / "joining.json"
