"""Asks a display for another size, as an RFB viewer does: a guest with a driver for it may follow.

https://www.rfc-editor.org/rfc/rfc6143 and https://github.com/rfbproto/rfbproto/blob/master/rfbproto.rst#setdesktopsize
"""

from __future__ import annotations

import asyncio
import struct

VERSION = b"RFB 003.008\n"
NO_PASSWORD, SHARED = 1, 1
ENCODINGS, SET_SIZE = 2, 251
UPDATE = 0
SIZES = -308
"""The pseudo-encoding ExtendedDesktopSize, which reports sizes and the result of requests."""
LONGEST_NAME = 4096
PIECE = 1 << 16


class Nonsense(Exception):
    """What was received is not RFB."""


async def change_size(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, width: int, height: int) -> None:
    """Return when the display has that size, which may be never. Raises `OSError`, `EOFError`, `Nonsense`."""
    if await _greet(reader, writer) == (width, height):
        return
    writer.write(struct.pack(">BxHi", ENCODINGS, 1, SIZES))
    _ask_for_size(writer, width, height)
    while await _size(reader) != (width, height):
        pass  # as it was, with what became of the request


async def restore_size(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, width: int, height: int) -> None:
    """Request that size and close the connection. Raises `OSError`.

    Returns when QEMU has read it: it does not read what was sent before the connection was closed from both sides.
    """
    _ask_for_size(writer, width, height)
    writer.write_eof()
    while await reader.read(PIECE):
        pass


def _ask_for_size(writer: asyncio.StreamWriter, width: int, height: int) -> None:
    """Request a single screen as large as the display."""
    screen = struct.pack(">IHHHHI", 0, 0, 0, width, height, 0)
    writer.write(struct.pack(">BxHHBx", SET_SIZE, width, height, 1) + screen)


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[int, int]:
    """The handshake, until QEMU has sent the display's size."""
    if await reader.readexactly(len(VERSION)) != VERSION:
        raise Nonsense("another version than 3.8")
    writer.write(VERSION)
    offered = await reader.readexactly((await reader.readexactly(1))[0])
    if NO_PASSWORD not in offered:
        raise Nonsense("it asks for a password")
    writer.write(bytes([NO_PASSWORD]))
    if any(await reader.readexactly(4)):
        raise Nonsense("it lets nobody in")
    writer.write(bytes([SHARED]))
    width, height, length = struct.unpack(">HH16xI", await reader.readexactly(24))
    if length > LONGEST_NAME:
        raise Nonsense("its name is too long")
    await reader.readexactly(length)
    return width, height


async def _size(reader: asyncio.StreamReader) -> tuple[int, int] | None:
    """The size in the next message, if it has one: nothing else was requested."""
    kind, rectangles = struct.unpack(">BxH", await reader.readexactly(4))
    if kind != UPDATE:
        raise Nonsense(f"message {kind} was not asked for")
    size = None
    for _ in range(rectangles):
        _, _, width, height, encoding = struct.unpack(">HHHHi", await reader.readexactly(12))
        if encoding != SIZES:
            raise Nonsense(f"encoding {encoding} was not asked for")
        (screens,) = struct.unpack(">B3x", await reader.readexactly(4))
        await reader.readexactly(16 * screens)
        size = (width, height)
    return size
