"""The images known by name: those of the package, and those in the files of the setting `catalogues`."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, structs

from velocity.contract.cloud_init import LOGIN_PATTERN
from velocity.contract.problems import Problem, Refused
from velocity.fetching import urls

BUILT_IN = Path(__file__).with_name("catalogue.toml")
Text = Annotated[str, Meta(min_length=1, max_length=128)]


class CatalogueError(Exception):
    """A catalogue cannot be used; the message names its file and what is wrong."""


class Image(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry. `user` is the image's default user; `tried`: it was fetched and booted by somebody."""

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}\Z")]
    title: Text
    version: Text
    architecture: Text = "x86_64"
    url: Annotated[str, Meta(max_length=4096)]
    user: Annotated[str, Meta(pattern=LOGIN_PATTERN)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{64}\Z")] | None = None
    checksums: Annotated[str, Meta(max_length=4096)] | None = None
    """The URL of a file with its checksum."""
    signature: Annotated[str, Meta(max_length=4096)] | None = None
    """The URL of that file's signature; absent, with `keys`: the signature is inside the file."""
    keys: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    """A file with the trusted keys, as from `gpg --export`; relative to the catalogue, or an absolute path."""
    tried: bool = False

    @property
    def origin(self) -> str:
        """Different for other bytes, or another URL."""
        return hashlib.sha256(f"{self.url}\0{self.sha256 or ''}".encode()).hexdigest()[:16]


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    images: list[Image]


class Images:
    """Images by name."""

    def __init__(self, known: Mapping[str, Image]) -> None:
        self.known = known

    def get(self, name: str) -> Image:
        found = self.known.get(name)
        if found is None:
            words = f"no image is called {name!r}: POST /m/catalogue (`velocity media catalogue`) lists them"
            raise Refused(Problem.MALFORMED, words, field="image")
        return found


def load(files: Iterable[Path]) -> Images:
    """Load the package's catalogue, then these: entries replace those of the same name. Raises `CatalogueError`."""
    return Images({one.name: one for file in (BUILT_IN, *files) for one in _read(file)})


def _read(file: Path) -> list[Image]:
    try:
        images = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), _File).images
    except OSError as error:
        raise CatalogueError(f"the catalogue {file} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise CatalogueError(f"the catalogue {file}: {str(error).replace('`$.', '`')}") from None
    images = [one if one.keys is None else structs.replace(one, keys=str(file.parent / one.keys)) for one in images]
    for one in images:
        if (wrong := _wrong(one)) is not None:
            raise CatalogueError(f"the catalogue {file}: {one.name}: {wrong}")
    return images


def _wrong(one: Image) -> str | None:
    try:
        plain = [url for url in (one.url, one.checksums, one.signature) if url and urls.parse(url).scheme != "https"]
    except Refused as refused:
        return refused.message
    if one.sha256 is not None and one.checksums is not None:
        return "`sha256` and `checksums` exclude each other: with the first, the second says nothing more"
    if one.keys is None and one.signature is not None:
        return "`signature` needs `keys`, the file with the trusted keys"
    if one.keys is not None and (trouble := _trouble(Path(one.keys), one)) is not None:
        return trouble
    return "http:// needs the `sha256` of the file" if plain and one.sha256 is None else None


def _trouble(keys: Path, one: Image) -> str | None:
    """What is wrong with the file of keys."""
    if one.checksums is None:
        return "`keys` needs `checksums`, the URL of what is signed"
    try:
        with keys.open("rb") as file:
            armoured = file.read(5) == b"-----"
    except OSError as error:
        return f"the file of keys {keys} cannot be read: {error.strerror}"
    return f"the keys {keys} are text: make them a file of bytes with `gpg --dearmor`" if armoured else None
