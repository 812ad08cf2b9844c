"""The lengths of objects that do not fill whole sectors: in their images' metadata."""

from __future__ import annotations

import contextlib

from velocity.storage.rbd.rados_pool import Image, RadosPool, whole

LENGTH = "velocity.length"


def create(pool: RadosPool, name: str, size: int) -> None:
    pool.create(name, size)
    if size != whole(size):
        note(pool, name, size)


def resize(pool: RadosPool, name: str, size: int) -> None:
    """Pad the image to whole sectors, and note its length."""
    note(pool, name, size)
    pool.rbd("resize", "--no-progress", f"--size={whole(size)}B", pool.image(name))


def note(pool: RadosPool, name: str, size: int) -> None:
    pool.rbd("image-meta", "set", pool.image(name), LENGTH, str(size))


def forget(pool: RadosPool, name: str) -> None:
    """Remove the noted length, as more data follows."""
    with contextlib.suppress(FileNotFoundError):
        pool.rbd("image-meta", "rm", pool.image(name), LENGTH)


def of(pool: RadosPool, image: Image) -> int:
    try:
        noted = int(pool.rbd("image-meta", "get", pool.image(image.name), LENGTH))
    except (FileNotFoundError, ValueError):
        return image.size
    return noted if whole(noted) == image.size else image.size
