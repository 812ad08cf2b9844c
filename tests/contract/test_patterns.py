"""The patterns of requests: what does not match one is told to people in words, and none is looser than it looks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec.inspect as types
import pytest

from velocity.api.decode import FORMS, convert, explain
from velocity.contract import names
from velocity.contract.machines import AlterVm
from velocity.contract.problems import Refused
from velocity.contract.registry import OPERATIONS


def patterns(kind: types.Type, field: str) -> Iterator[tuple[str, str]]:
    """Each with the name of its field."""
    match kind:
        case types.StructType(fields=fields):
            for one in fields:
                yield from patterns(one.type, one.name)
        case types.UnionType(types=several):
            for one_of in several:
                yield from patterns(one_of, field)
        case types.ListType(item_type=item):
            yield from patterns(item, field)
        case types.DictType(key_type=key, value_type=value):
            yield from patterns(key, field)
            yield from patterns(value, field)
        case types.Metadata(type=inner):
            yield from patterns(inner, field)
        case types.StrType(pattern=str(pattern)):
            yield field, pattern


FOUND = {one for operation in OPERATIONS for one in patterns(types.type_info(operation.request), "")}


@pytest.mark.holds("API-20")
def test_every_pattern_is_told_in_words() -> None:
    assert len(FOUND) > 20
    silent = {field for field, pattern in FOUND if pattern != names.PATTERN and field not in FORMS}
    assert not silent, "add them to api/decode.py: FORMS"
    told = explain("Expected `str` matching regex '^[0-9a-f]{64}' - at `$.sha256`")
    assert told == ("sha256", "sha256: expected a SHA-256: 64 hexadecimal digits, as `sha256sum FILE` gives them")
    assert explain("Expected `str` matching regex 'x' - at `$.nics[0].mac`")[1].startswith(
        "nics[0].mac: expected a MAC"
    )


@pytest.mark.holds("API-20")
@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"input": "\\1"}, "input: '\\\\1' is none of ps2, usb, virtio"),
        ({"nics": [{"type": "NAT"}, {"type": "NAT", "link": "x"}]}, "nics[1].link: 'x' is none of down, up"),
        ({"media": [{"mid": str(UUID(int=1)), "mode": "USB", "sector_size": 1024}]},
         "media[0].sector_size: 1024 is none of 512, 4096"),
    ],
)  # fmt: skip
def test_a_word_that_is_none_of_those_that_there_are_is_told_them(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused) as refused:
        convert(AlterVm, {"vmid": 1, **fields})
    assert refused.value.message == told


@pytest.mark.holds("API-20")
def test_no_pattern_takes_the_end_of_a_line() -> None:
    assert not [field for field, pattern in FOUND if pattern.endswith("$")], "which a newline may follow: use \\Z"
