"""The lengths of images: in their metadata, if the content does not fill whole sectors."""

from __future__ import annotations

import contextlib

from velocity.storage.rbd.rados_pool import Image, RadosPool, whole

LENGTH = "velocity.length"


def create(pool: RadosPool, name: str, size: int) -> None:
    pool.create(name, size)
    if size != whole(size):
        note(pool, name, size)


def resize(pool: RadosPool, name: str, size: int) -> None:
    """To more."""
    note(pool, name, size)
    pool.rbd("resize", "--no-progress", f"--size={whole(size)}B", pool.image(name))


def note(pool: RadosPool, name: str, size: int) -> None:
    pool.rbd("image-meta", "set", pool.image(name), LENGTH, str(size))


def forget(pool: RadosPool, name: str) -> None:
    """More comes."""
    with contextlib.suppress(FileNotFoundError):
        pool.rbd("image-meta", "rm", pool.image(name), LENGTH)


def of(pool: RadosPool, image: Image) -> int:
    try:
        noted = int(pool.rbd("image-meta", "get", pool.image(image.name), LENGTH))
    except (FileNotFoundError, ValueError):
        return image.size
    return noted if whole(noted) == image.size else image.size
