"""The settings of a VM as text: options of `vm create` and `vm set`, lines of `vm show`, words in apply files."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import click
from msgspec import UNSET

from velocity.cli import attachments, cloud_init, device_words
from velocity.cli.amounts import MEMORY, to_mebibytes
from velocity.cli.attachments import MediaNames, MediaScope
from velocity.contract import settings
from velocity.contract.machines import EmptyDrive, Interface, Nic, VmInfo, VmSettings
from velocity.sizes import size

Function = TypeVar("Function", bound=Callable[..., Any])
Options = Mapping[str, Any]
"""The arguments for `click.option`."""


@dataclass(frozen=True, kw_only=True)
class Word:
    """How one setting is written and read. None for its options or `show`: it has none."""

    field: str
    name: str
    """The name in apply files."""
    option: str
    create: Options
    alter: Options | None
    alter_option: str | None = None
    read: Callable[[MediaScope, Any], object] = lambda _, written: written
    label: str = ""
    show: Callable[[MediaNames, Any], list[str]] | None = None


def creating(command: Function) -> Function:
    """Adds the options of `vm create`; the command gets them as `written`, by the names of `Word`."""
    return _options(command, {word.name: (word.option, word.create) for word in WORDS} | cloud_init.OPTIONS)


def launching(command: Function) -> Function:
    """Adds the options of `launch`: those of `vm create` without media; a NAT NIC is the default."""
    offered = {word.name: (word.option, word.create) for word in WORDS if word.field not in ("media", "rosetta")}
    offered["nics"] = ("--nic", {**_NIC, "help": f"A NIC. {_NIC_WORDS}.", "default": ("nat",), "show_default": True})
    return _options(command, offered | cloud_init.OPTIONS)


def altering(command: Function) -> Function:
    """Adds the options of `vm set`; the command gets the given ones as `written`, by the names of `Word`."""
    offered = {word.name: (word.alter_option or word.option, word.alter) for word in WORDS if word.alter}
    return _options(command, offered | cloud_init.OPTIONS, some=True)


def read(place: MediaScope, written: Mapping[str, Any]) -> dict[str, Any]:
    """The settings for the API, by the fields of `VmSettings`; other words are ignored. Raises `click.BadParameter`."""
    settings = {word.field: word.read(place, written[word.name]) for word in WORDS if word.name in written}
    wanted = cloud_init.read(written)
    return settings if wanted is None else settings | {"cloud_init": wanted}


def lines(info: VmInfo, called: MediaNames, *, waiting: bool) -> Iterator[tuple[str, str]]:
    """The lines of `vm show`: of the settings that wait for the next start, or of the others."""
    waits = set(settings.waiting(VmSettings))
    for word in WORDS:
        if word.show is not None and (word.field in waits) is waiting:
            yield from ((word.label, line) for line in word.show(called, _shown(info, word.field)))
            if word.field == "memory_mib" and info.memory_taken_mib is not UNSET:
                yield ("", f"uses {size(info.memory_taken_mib << 20)} of the host's memory")
    if waiting:
        yield from (("cloud-init", line) for line in cloud_init.lines(info.cloud_init))


def _shown(info: VmInfo, field: str) -> object:
    """A setting as text; NICs with what the server stores of them."""
    return list(zip(info.nics, info.interfaces, strict=True)) if field == "nics" else getattr(info, field)


def differs(info: VmInfo, field: str, wanted: Any) -> bool:
    """Whether a VM has another value; unspecified parts of NICs, and sector sizes, match any."""
    if field == "media":
        return attachments.differ(wanted, info.media)
    if field == "cloud_init":
        return cloud_init.differs(info.cloud_init, wanted)
    if field != "nics":
        return bool(getattr(info, field) != wanted)
    return len(wanted) != len(info.nics) or not all(map(_says, wanted, info.nics, info.interfaces))


def _says(wanted: Nic, has: Nic, one: Interface) -> bool:
    same = wanted.id in (UNSET, one.id) and (wanted.mac is UNSET or wanted.mac.lower() == one.mac)
    return same and _alike(wanted) == _alike(has)


def _alike(nic: Nic) -> tuple[object, ...]:
    return nic.type, nic.host, nic.trusted is True, nic.link == "down", nic.boot


def _options(command: Function, options: Mapping[str, tuple[str, Options]], *, some: bool = False) -> Function:
    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        written = {name: kwargs.pop(name) for name in options}
        if some:
            written = {name: _unless_none(value) for name, value in written.items() if value not in (None, ())}
        return command(*args, written=written, **kwargs)

    decorated: Any = wrapped
    for name, (option, about) in reversed(list(options.items())):
        decorated = click.option(option, name, **about)(decorated)
    return decorated  # type: ignore[no-any-return]


def _unless_none(value: object) -> object:
    """The list, or an empty one for the word `none`."""
    return () if value == ("none",) else value


_DISPLAY: Options = {"multiple": True, "metavar": "[NAME=]WxH"}
_MEDIA: Options = {"multiple": True, "metavar": "MEDIUM[:OPTION]..."}
_MEDIA_WORDS = "`vm attach --help` lists the OPTIONs"
_DRIVE: Options = {"multiple": True, "type": click.Choice(["usb", "virtio"])}
_NIC: Options = {"multiple": True, "metavar": "nat|bridge:NIC[:trusted]"}
_NIC_WORDS = (
    "Suffixes: :link=down pulls its cable, :boot=N makes it the Nth in the boot order, :mac=ADDRESS sets its MAC "
    "address"
)
_FORWARD: Options = {"multiple": True, "metavar": "[ADDRESS:]PORT:PORT[/udp]"}
_FORWARD_WORDS = "The host's port comes first, as in 2222:22; with ADDRESS, only on that address of the host"
INPUTS = ("virtio", "ps2", "usb")
_INPUT = "Keyboard and pointer; `usb` for Windows and other systems without virtio drivers."
_CPU = "The CPU model: best, host, or one of QEMU's that this host supports."
_MAX_CPUS = "The most CPUs that it can be given while it runs; 0: no more than at its start."
_MAX_MEMORY = "The most memory that it can be given while it runs; 0: no more than at its start."
_MEMORY: Options = {"metavar": "SIZE", "help": MEMORY}
_BALLOON = "Return memory that the guest frees to the host (hardware 2 and newer)."

_HA = "restart: start it again when its process or its host fails (elsewhere once the host is confirmed dead)."
_HOST_LABEL: Options = {"metavar": "NAME[=VALUE]", "multiple": True}
_HOST_LABELS = "A label that its host must have"


def _neighbours(field: str, where: str) -> Word:
    says = f"Place VMs of the group with the same word {where}."
    return Word(
        field=field, name=field, option=f"--{field}", label=field,
        create={"metavar": "WORD", "default": "", "help": says},
        alter={"metavar": "WORD", "help": f"{says} An empty word ends that."},
        show=lambda _, word: [word] if word else [],
    )  # fmt: skip


def _number(field: str, says: str) -> Word:
    return Word(
        field=field, name=field, option=f"--{field.replace('_', '-')}", label=field.replace("_", " "),
        create={"type": int, "default": 0, "help": says},
        alter={"type": int, "help": says},
        show=lambda _, number: [str(number)] if number else [],
    )  # fmt: skip


WORDS = (
    Word(
        field="cpus",
        name="cpus",
        option="--cpus",
        create={"type": int, "default": 1, "show_default": True, "help": "Its CPUs."},
        alter={"type": int, "help": "Its CPUs."},
        label="cpus",
        show=lambda _, cpus: [str(cpus)],
    ),
    Word(
        field="memory_mib",
        name="memory",
        option="--memory",
        create={**_MEMORY, "default": "1G", "show_default": True},
        alter=_MEMORY,
        read=lambda _, text: to_mebibytes(str(text)),
        label="memory",
        show=lambda _, mib: [size(mib << 20)],
    ),
    _number("max_cpus", _MAX_CPUS),
    Word(
        field="max_memory_mib",
        name="max_memory",
        option="--max-memory",
        create={"metavar": "SIZE", "default": "0", "help": _MAX_MEMORY},
        alter={"metavar": "SIZE", "help": _MAX_MEMORY},
        read=lambda _, text: to_mebibytes(str(text)),
        label="max memory",
        show=lambda _, mib: [size(mib << 20)] if mib else [],
    ),
    Word(
        field="displays",
        name="displays",
        option="--display",
        create={**_DISPLAY, "help": "A display; can be given several times."},
        alter={**_DISPLAY, "help": "The displays; `none` for none."},
        read=lambda _, texts: [device_words.to_display(number, text) for number, text in enumerate(texts)],
        label="display",
        show=lambda _, displays: [device_words.display(one) for one in displays],
    ),
    Word(
        field="media",
        name="media",
        option="--media",
        create={**_MEDIA, "help": f"A medium, in boot order; {_MEDIA_WORDS}."},
        alter={**_MEDIA, "help": f"The media; `none` for none. {_MEDIA_WORDS}."},
        read=lambda place, texts: [attachments.to_attachment(place, text) for text in texts],
        label="medium",
        show=lambda called, media: [attachments.shown(called, one) for one in media],
    ),
    Word(
        field="drives",
        name="drives",
        option="--drive",
        create={**_DRIVE, "help": "An empty CD-ROM drive; can be given several times."},
        alter={**_DRIVE, "type": click.Choice(["usb", "virtio", "none"]), "help": "The empty drives; `none` for none."},
        read=lambda _, modes: [EmptyDrive(mode=mode.upper()) for mode in modes],
        label="drive",
        show=lambda _, drives: [f"{one.mode}, empty" for one in drives],
    ),
    Word(
        field="nics",
        name="nics",
        option="--nic",
        create={**_NIC, "help": f"A NIC; a host NIC by its identifier or id. {_NIC_WORDS}."},
        alter={
            **_NIC,
            "help": f"The NICs; `none` for none. {_NIC_WORDS}, :id=N keeps that NIC (`vm show`).",
        },
        read=lambda place, texts: [device_words.to_nic(place, text) for text in texts],
        label="nic",
        show=lambda _, nics: [device_words.nic(*both) for both in nics],
    ),
    Word(
        field="forwards",
        name="forwards",
        option="--forward",
        create={**_FORWARD, "help": f"A port of the host to forward to it. {_FORWARD_WORDS}."},
        alter={**_FORWARD, "help": f"The ports of the host to forward to it; `none` for none. {_FORWARD_WORDS}."},
        read=lambda _, texts: [device_words.to_forward(text) for text in texts],
        label="forward",
        show=lambda _, forwards: [device_words.forward(one) for one in forwards],
    ),
    Word(
        field="input",
        name="input",
        option="--input",
        create={"type": click.Choice(INPUTS), "default": "virtio", "show_default": True, "help": _INPUT},
        alter={"type": click.Choice(INPUTS), "help": _INPUT},
        label="input",
        show=lambda _, word: [word],
    ),
    Word(
        field="cpu",
        name="cpu",
        option="--cpu",
        create={"metavar": "MODEL", "default": "best", "show_default": True, "help": _CPU},
        alter={"metavar": "MODEL", "help": _CPU},
        label="cpu",
        show=lambda _, word: [word],
    ),
    Word(
        field="autostart",
        name="autostart",
        option="--autostart",
        create={"is_flag": True, "help": "Start it when the server starts."},
        alter={"default": None, "help": "Start it when the server starts, also if a user has stopped it."},
        alter_option="--autostart/--no-autostart",
        label="autostart",
        show=lambda _, starts: ["yes" if starts else "no"],
    ),
    Word(
        field="rosetta",
        name="rosetta",
        option="--rosetta",
        create={"is_flag": True, "help": "Request the translation layer on hosts that have one."},
        alter=None,
    ),
    Word(
        field="balloon",
        name="balloon",
        option="--balloon/--no-balloon",
        create={"default": True, "show_default": True, "help": _BALLOON},
        alter={"default": None, "help": _BALLOON},
        label="balloon",
        show=lambda _, gives: ["on, with hardware 2 and newer" if gives else "off"],
    ),
    Word(
        field="notes",
        name="notes",
        option="--notes",
        create={"metavar": "TEXT", "default": "", "help": "A description, at most 8 KiB."},
        alter={"metavar": "TEXT", "help": "A description; an empty one removes it."},
        label="notes",
        show=lambda _, text: text.splitlines(),
    ),
    _neighbours("spread", "on different hosts as far as possible"),
    _neighbours("together", "on the same host as far as possible"),
    Word(
        field="host_labels",
        name="host_labels",
        option="--host-label",
        create={**_HOST_LABEL, "help": f"{_HOST_LABELS}; can be given several times."},
        alter={**_HOST_LABEL, "help": f"{_HOST_LABELS}; `none` for none."},
        read=lambda _, labels: list(labels),
        label="host label",
        show=lambda _, labels: list(labels),
    ),
    Word(
        field="ha",
        name="ha",
        option="--ha",
        create={"type": click.Choice(["off", "restart"]), "default": "off", "show_default": True, "help": _HA},
        alter={"type": click.Choice(["off", "restart"]), "help": _HA},
        label="ha",
        show=lambda _, word: [word] if word != "off" else [],
    ),
    _number("start_order", "Its place among VMs that the server starts by itself: 1 is first, 0 comes last."),
)
