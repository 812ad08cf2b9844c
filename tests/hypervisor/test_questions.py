"""What of a guest's past a terminal would answer, as if its user had typed."""

from __future__ import annotations

import pytest

from velocity.hypervisor.questions import without_questions

QUESTIONS = (
    *(f"\x1b[{one}" for one in ("c", "0c", ">c", ">0c", "=c", "5n", "6n", "?6n", "?996n", "x", "1x")),
    *(f"\x1b[{one}" for one in ("?2026$p", "4$p", "1$w", "1;1;1;1;2;2*y", ">q", ">0q", "?u", "?4m", "?1;1;0S")),
    *(f"\x1b[{one}" for one in ("11t", "14t", "14;2t", "15t", "16t", "18t", "19t", "20t", "21t")),
    *("\x1b]10;?\x07", "\x1b]11;?\x1b\\", "\x1b]4;1;?\x07", "\x1b]52;c;?\x07", "\x1b]50;?\x07", "\x1b]12;?\u009c"),
    *("\x1bP+q544e\x1b\\", "\x1bP$qm\x1b\\", "\x1b_Gi=31,s=1,v=1,a=q;AAAA\x1b\\", "\x1bZ", "\x05"),
    *("\u009b6n", "\u009d11;?\x07", "\u0090$qm\u009c"),
)
SAID = (
    "plain text, ü and 日本\r\n",
    *(f"\x1b[{one}" for one in ("1;31m", "0m", "2J", "H", "10;20H", "?25h", "?1049h", ">4;1m", "1 q", "3t", "22;0t")),
    *(f"\x1b[{one}" for one in ("!p", "1S", "s", "u", "=1u", ">1u", "<u", "1;5r")),
    *("\x1b]0;what is it;?\x07", "\x1b]2;a?\x1b\\", "\x1b]8;;https://one.example/?q=1\x07link\x1b]8;;\x07"),
    *("\x1b]11;#ffffff\x07", "\x1b]133;A\x07", "\x1bPq#0;2;0;0;0\x1b\\", "\x1b7", "\x1b8", "\x1bc", "\x1b(B"),
    *("\x1b[6", "\x1b]11;?", "[6n", "\x1b"),
)


@pytest.mark.holds("CONSOLE-10")
@pytest.mark.parametrize("question", QUESTIONS, ids=repr)
def test_a_question_of_the_past_is_left_out(question: str) -> None:
    assert without_questions(f"a{question}b{question}".encode()) == b"ab"


def test_all_else_stays_as_it_was_said() -> None:
    for said in SAID:
        assert without_questions(said.encode()) == said.encode()
    assert without_questions(bytes(range(6, 256)) * 2) == bytes(range(6, 256)) * 2, "whatever the bytes"


@pytest.mark.parametrize(
    "begun", [b"\x1b]4;?", b"\xc2\x9d4;?", b"\x1bP+q", b"\xc2\x90", b"\x1b[1;", b"\xc2\x9b", b"?", b"\x1b]", b"\x1b"]
)
def test_a_guest_that_never_ends_a_sequence_holds_up_nobody(begun: bytes) -> None:
    """As much as a console begins with; it would take hours if each beginning were looked at to the end."""
    for said in (begun * ((64 << 10) // len(begun)), begun + b"?;" * (32 << 10)):
        assert without_questions(said) == said
