"""What happened, in words: an entry of the history as a sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from velocity.cli.plan import BYTES, LABELS
from velocity.sizes import size

if TYPE_CHECKING:
    from velocity.contract.history import Entry
    from velocity.contract.phrases import Phrase

Names = Callable[[str], str | None]
"""How an object is called now, by its id as in a target: `vmid=7` is "VM web". None: the caller does not see it."""
WORD = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|\S+)(?: |$)')
PLACE = re.compile(r"\{(\w+)(:name)?\}")
FROM = {"state", "duty", "host", "mpid"}
"""Words of a target that may tell what was before: `host=1->2`."""
THINGS = {
    "vm": ("vmid", "VM"), "medium": ("mid", "medium"), "user": ("uid", "user"), "group": ("gid", "group"),
    "parent": ("parent_gid", "group"), "pool": ("mpid", "pool"), "from_pool": ("from_mpid", "pool"),
    "host": ("host", "host"), "from_host": ("from_host", "host"), "source": ("cloned", "VM"),
}  # fmt: skip
"""Name in a phrase -> word of the target with the id, and the kind of object."""
ID_OF = {"parent_gid": "gid", "from_mpid": "mpid", "from_host": "host", "cloned": "vmid"}
NO_CHANGES = {
    *(word for word, _ in THINGS.values()), *FROM, "from_state", "from_duty", "tid", "trid", "sid", "permission",
    "disks", "kind", "force", "was", "name", "keeps_copy",
}  # fmt: skip
"""The other words of a target tell what was changed."""
SIZES = BYTES | {"max_memory_mib": 1 << 20, "size": 1}
ITEMS = {"nics": "NIC", "displays": "display", "forwards": "port forward"}
MEDIA = {"+": ("attached", "attach", "to"), "-": ("detached", "detach", "from")}
DISCS = {"+": ("inserted", "insert", "into"), "-": ("ejected", "eject", "from")}
"""Sign of a medium -> the verb, and what follows it."""
ALTERED = {"alter_vm": "{vm:name}", "alter_medium": "{medium:name}", "set_node": "{host:name}"}
BESIDE = ("set_quota", "assign_pool")
"""Operations whose changes stand behind their phrase."""


def sentence(entry: Entry, names: Names) -> str:
    """The entry's sentence, without the one who did it."""
    words = read(entry.target)
    if "vmid" not in words and isinstance(entry.vmid, int):
        words = {"vmid": str(entry.vmid), **words}
    past, infinitive, rest = _phrase(entry.operation, words, names, refused=isinstance(entry.code, int))
    verb = f"tried to {infinitive}" if isinstance(entry.code, int) else past
    return f"{verb} {rest}".rstrip()


def read(target: str) -> dict[str, str]:
    """The words of a target; of "old->new", `host` has the new one and `from_host` the old one.

    The name comes after all other words and is what is left.
    """
    found: dict[str, str] = {}
    while target:
        if target.startswith("name="):
            found["name"] = _unquoted(target.removeprefix("name="))
            break
        match = WORD.match(target)
        if match is None:
            break
        word, value = match[1], _unquoted(match[2])
        if word in FROM:
            old, _, value = value.rpartition("->")
            found |= {f"from_{word}": old} if old else {}
        found[word] = value
        target = target[match.end() :]
    return found


def _unquoted(text: str) -> str:
    """A text that is no plain word is quoted as in JSON; not so a name that was cut off, or of an older server."""
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        return text


def _phrase(operation: str, words: Mapping[str, str], names: Names, *, refused: bool) -> tuple[str, str, str]:
    """The verb in the past and as infinitive, and what follows it."""
    found = _found(operation, words)
    if found is None:
        name = operation.replace("_", " ")
        return f"asked for {name!r}", name, ""

    def filled(text: str) -> str:
        return PLACE.sub(lambda place: _named(place[1], words, names, former=bool(place[2])), text)

    base = found.past, found.infinitive, filled(found.rest)
    changes = list(_changes(words, names))
    if operation in BESIDE:
        return *base[:2], ": ".join([base[2], *([", ".join(changes)] if changes else [])])
    if found.past != "changed" or operation not in ALTERED:
        return base
    return _altered(operation, filled(ALTERED[operation]), words, names, changes, refused=refused)


def _found(operation: str, words: Mapping[str, str]) -> Phrase | None:
    from velocity.contract.phrases import PHRASES

    def holds(word: str, wanted: str) -> bool:
        return word in words and wanted in ("", words[word].rpartition("->")[2])

    phrases = PHRASES.get(operation, ())
    return next((one for one in phrases if all(holds(*pair) for pair in one.when.items())), None)


def _named(place: str, words: Mapping[str, str], names: Names, *, former: bool) -> str:
    """What stands in a place of a phrase. `former`: the name in the target is the object's, as it was then."""
    if place == "made":
        return words.get("name", "")
    if place == "disks":
        return words["disks"]
    if place == "permission":
        return words.get("permission", "all permissions").removeprefix("velocity.")
    word, kind = THINGS[place]
    one = words.get(word)
    then = words.get("was", None if _renames(words) else words.get("name")) if former else None
    if one is None:
        return kind if then is None else f"{kind} {then}"
    if "was" in words and then is not None:
        return f"{kind} {then}"
    now = names(f"{ID_OF.get(word, word)}={one}")
    return now or f"{kind} {one if then is None else then}"


def _altered(
    operation: str, what: str, words: Mapping[str, str], names: Names, changes: list[str], *, refused: bool
) -> tuple[str, str, str]:
    """What was changed of a VM, medium or host."""
    renamed, was, name = _renames(words), words.get("was"), words.get("name")
    if renamed and name is not None and not changes:
        if was is None and not refused:
            return "renamed", "rename", f"a {what.split()[0]} to {name}"  # an older server did not record its old name
        return "renamed", "rename", f"{what} to {name}"
    media = words.get("media", "")
    if not renamed and len(changes) == 1 and media[:1] in MEDIA and "," not in media:
        past, infinitive, where = (DISCS if words.get("changed") == "drives" else MEDIA)[media[0]]
        return past, infinitive, f"{_medium(media[1:], names)} {where} {what}"
    if operation == "alter_medium" and len(changes) == 1 and not renamed and "size" in words:
        old, _, new = words["size"].rpartition("->")
        before = f" from {_value('size', old)}" if old else ""
        return "grew", "grow", f"{what}{before} to {_value('size', new)}"
    named = [f"name {was} -> {name}" if was else f"name {name}"] if renamed and name is not None else []
    told = ", ".join([*named, *changes])
    return "changed", "change", f"{what}: {told}" if told else what


def _renames(words: Mapping[str, str]) -> bool:
    return "name" in words.get("changed", "").split("+")


def _changes(words: Mapping[str, str], names: Names) -> Iterator[str]:
    """What was changed, except the name: "cpus 2 -> 4"."""
    for word, value in words.items():
        if word in NO_CHANGES:
            continue
        if word == "media":
            yield from (_attached(one, names) for one in value.split(","))
        elif word in ITEMS:
            yield from (_item(ITEMS[word], one) for one in value.split(","))
        elif word == "changed":  # a disc that is changed leaves or takes an empty drive
            hidden = {"name", "drives"} if "media" in words else {"name"}
            yield from (LABELS.get(one, one.replace("_", " ")) for one in value.split("+") if one not in hidden)
        else:
            old, _, new = value.rpartition("->")
            arrow = f"{_value(word, old)} -> " if old else ""
            yield f"{LABELS.get(word, word.replace('_', ' '))} {arrow}{_value(word, new)}"


def _value(word: str, value: str) -> str:
    if word in SIZES and value.isdigit():
        return "none" if word == "quota" and value == "0" else size(int(value) * SIZES[word])
    return {"true": "yes", "false": "no"}.get(value, value)


def _attached(item: str, names: Names) -> str:
    sign, medium = item[:1], _medium(item[1:], names)
    return f"{MEDIA[sign][0]} {medium}" if sign in MEDIA else f"how {medium} is attached"


def _medium(mid: str, names: Names) -> str:
    return names(f"mid={mid}") or f"medium {mid}"


def _item(noun: str, item: str) -> str:
    if "->" in item:
        return f"{noun} {item.replace('->', ' -> ')}"
    done = {"+": "added", "-": "removed"}.get(item[:1], "changed")
    return f"{noun} {item[1:]} {done}"
