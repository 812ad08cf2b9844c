"""A program for the demo guest, which has no tool to send any frame that one likes: machine code, without a library."""

from __future__ import annotations

import struct

ADDRESS = 0x400000


def program(interface: int) -> bytes:
    """An executable that sends its standard input as one frame by that interface (its index). elf(5), packet(7)"""
    code = b"".join(
        bytes.fromhex(line.partition("#")[0])
        for line in """
        48 81 ec 00 08 00 00    # sub rsp, 2048
        6a 29 58 6a 11 5f       # rax = socket; rdi = AF_PACKET
        6a 03 5e 31 d2 0f 05    # rsi = SOCK_RAW; rdx = 0; syscall
        49 89 c4                # mov r12, rax
        31 c0 31 ff 48 89 e6    # rax = read; rdi = 0; mov rsi, rsp
        ba 00 08 00 00 0f 05    # mov edx, 2048; syscall
        89 c2 6a 2c 58          # mov edx, eax; rax = sendto
        4c 89 e7 48 89 e6       # mov rdi, r12; mov rsi, rsp
        45 31 d2                # xor r10d, r10d
        4c 8d 05 13 00 00 00    # lea r8, [rip + 19]: the address behind the code
        6a 14 41 59 0f 05       # r9 = 20; syscall
        31 ff 85 c0 79 02 ff c7 # edi = 1 if it failed
        6a 3c 58 0f 05          # rax = exit; syscall
        """.splitlines()
    )
    to = struct.pack("<HHiHBB8x", 17, 0, interface, 0, 0, 0)
    size = 64 + 56 + len(code) + len(to)
    head = struct.pack(
        "<4s5B7xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 0, 2, 62, 1, ADDRESS + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, ADDRESS, ADDRESS, size, size, 0x1000)
    return head + segment + code + to
