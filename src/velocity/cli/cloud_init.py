"""cloud-init as text: options of commands that create and change VMs, and lines of `vm show`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from msgspec import UNSET

from velocity.cli.words import clean
from velocity.contract.cloud_init import SECRETS, TEXT_BYTES, CloudInit, CloudInitInfo

Options = Mapping[str, Any]
_FILE = {"metavar": "FILE"}
OPTIONS: dict[str, tuple[str, Options]] = {
    "user": ("--user", {"metavar": "NAME", "help": "cloud-init: who may log in (default: the image's own user)."}),
    "ssh_keys": (
        "--ssh-key",
        {"multiple": True, "metavar": "FILE|KEY", "help": "cloud-init: a public key; can be given several times."},
    ),
    "password_hash": (
        "--password-hash",
        {"metavar": "HASH", "help": "cloud-init: the hash of the user's password, as `openssl passwd -6` makes it."},
    ),
    "hostname": ("--hostname", {"metavar": "NAME", "help": "cloud-init: the guest's name (default: the VM's)."}),
    "packages": (
        "--package", {"multiple": True, "metavar": "NAME", "help": "cloud-init: a package; can be given several times."}
    ),
    "timezone": ("--timezone", {"metavar": "ZONE", "help": "cloud-init: such as Europe/Berlin."}),
    "user_data": ("--user-data", {**_FILE, "help": "cloud-init: complete user-data, instead of the options above."}),
    "network_config": ("--network-config", {**_FILE, "help": "cloud-init: the network (default: DHCP)."}),
    "meta_data": ("--meta-data", {**_FILE, "help": "cloud-init: additional meta-data."}),
}  # fmt: skip
"""By field of `CloudInit`: the option, and the arguments for `click.option`."""
NOTHING = CloudInit(
    user="", ssh_keys=[], password_hash="", hostname="", packages=[], timezone="", user_data="", network_config="",
    meta_data="",
)  # fmt: skip
"""A change that removes everything."""


def read(written: Mapping[str, Any]) -> CloudInit | None:
    """The given options as a `CloudInit`; None if there are none. Raises `click.BadParameter`."""
    given = {name: value for name in OPTIONS if (value := written.get(name)) not in (None, ())}
    if not given:
        return None
    if "ssh_keys" in given:
        given["ssh_keys"] = [key for word in given["ssh_keys"] for key in public_keys(word)]
    if "packages" in given:
        given["packages"] = list(given["packages"])
    for name in ("user_data", "network_config", "meta_data"):
        if given.get(name):
            given[name] = text(Path(given[name]))
    return CloudInit(**given)


def public_keys(word: str) -> list[str]:
    """The public keys in a file (such as .pub, or authorized_keys), or the key itself."""
    file = Path(word).expanduser()
    if " " in word.strip() and not file.exists():
        return [word.strip()]
    lines = [line.strip() for line in text(file).splitlines()]
    if any(line.startswith("-----BEGIN") for line in lines):
        raise click.BadParameter(f"{clean(word)} has a private key, which stays here: name the file ending in .pub")
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise click.BadParameter(f"{clean(word)} has no key: `ssh-keygen -t ed25519` makes one")
    return keys


def text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(TEXT_BYTES + 1)
        if len(content) > TEXT_BYTES:
            raise click.BadParameter(f"{clean(file)} has more than {TEXT_BYTES:,} bytes")
        return content.decode()
    except OSError as error:
        raise click.BadParameter(f"{clean(file)} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.BadParameter(f"{clean(file)} is not UTF-8 text") from None


def lines(info: CloudInitInfo) -> list[str]:
    """The lines of `vm show`."""
    found = [f"user {info.user}"] if info.user else []
    found += [f"key {_short(key)}" for key in info.ssh_keys or []]
    for name, value in (("hostname", info.hostname), ("timezone", info.timezone)):
        found += [f"{name} {value}"] if value else []
    found += [f"packages {', '.join(info.packages)}"] if info.packages else []
    return found + [f"{name.replace('_', ' ')} set, and not shown" for name in info.secrets]


def _short(key: str) -> str:
    kind, blob, *comment = key.split(" ", 2)
    return f"{kind} ...{blob[-8:]}{' ' + comment[0] if comment else ''}"


def differs(info: CloudInitInfo, wanted: CloudInit) -> bool:
    """Whether the shown fields differ from the wanted ones. Absent fields and secrets are not compared."""
    return any(
        (getattr(wanted, name) or UNSET) != getattr(info, name)
        for name in info.__struct_fields__
        if name != "secrets" and getattr(wanted, name) is not UNSET
    )


def has_secrets(wanted: CloudInit) -> bool:
    """Whether it contains fields that are never shown."""
    return any(getattr(wanted, name) is not UNSET for name in SECRETS)
