"""The images that are known by name: those of the package, and of the files that the settings name."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from velocity.contract.cloud_init import LOGIN_PATTERN
from velocity.contract.problems import Problem, Refused
from velocity.fetching import urls

BUILT_IN = Path(__file__).with_name("catalogue.toml")
Text = Annotated[str, Meta(min_length=1, max_length=128)]


class CatalogueError(Exception):
    """A catalogue cannot be used; the message names its file and what is wrong."""


class Image(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry. `user` is the one that it is made with; `tried`: somebody has fetched and booted it."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}\Z")]
    title: Text
    version: Text
    architecture: Text = "x86_64"
    url: Annotated[str, Meta(max_length=4096)]
    user: Annotated[str, Meta(pattern=LOGIN_PATTERN)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{64}\Z")] | None = None
    checksums: Annotated[str, Meta(max_length=4096)] | None = None
    """The URL of a file in which its checksum stands."""
    tried: bool = False

    @property
    def origin(self) -> str:
        """Other bytes, or another place of them, are another image."""
        return hashlib.sha256(f"{self.url}\0{self.sha256 or ''}".encode()).hexdigest()[:16]


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    images: list[Image]


class Images:
    """By their names."""

    def __init__(self, known: Mapping[str, Image]) -> None:
        self.known = known

    def get(self, name: str) -> Image:
        found = self.known.get(name)
        if found is None:
            words = f"no image is called {name!r}: POST /m/catalogue (`velocity media catalogue`) lists them"
            raise Refused(Problem.MALFORMED, words, field="image")
        return found


def load(files: Iterable[Path]) -> Images:
    """What the package has, then these: one of the same name takes the place of another. Raises `CatalogueError`."""
    return Images({one.name: one for file in (BUILT_IN, *files) for one in _read(file)})


def _read(file: Path) -> list[Image]:
    try:
        images = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), _File).images
    except OSError as error:
        raise CatalogueError(f"the catalogue {file} cannot be read: {error.strerror}") from None
    except (ValueError, msgspec.ValidationError) as error:
        raise CatalogueError(f"the catalogue {file}: {str(error).replace('`$.', '`')}") from None
    for one in images:
        if (wrong := _wrong(one)) is not None:
            raise CatalogueError(f"the catalogue {file}: {one.name}: {wrong}")
    return images


def _wrong(one: Image) -> str | None:
    try:
        plain = [url for url in (one.url, one.checksums) if url and urls.parse(url).scheme != "https"]
    except Refused as refused:
        return refused.message
    if one.sha256 is not None and one.checksums is not None:
        return "`sha256` and `checksums` exclude each other: with the first, the second says nothing more"
    return "http:// needs the `sha256` of the file" if plain and one.sha256 is None else None
