"""The setting for cloud-init: a short form, or cloud-init's own texts.

https://docs.cloud-init.io/
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from velocity.contract.operation import Wire

TEXT_BYTES = 65536
Text = Annotated[str, Meta(max_length=TEXT_BYTES)]
LOGIN_PATTERN = r"^([a-z_][a-z0-9_.-]{0,31})?\Z"
Login = Annotated[
    str,
    Meta(
        pattern=LOGIN_PATTERN,
        description="who may log in, and become root by sudo; absent: the image's default user",
    ),
]
_BLOB = r"[A-Za-z0-9+/]{16,}={0,3}"
SSH_KEY_PATTERN = rf"^(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+ {_BLOB}( [^\x00-\x1f\x7f]*)?\Z"
SshKey = Annotated[str, Meta(max_length=16384, pattern=SSH_KEY_PATTERN)]
PasswordHash = Annotated[
    str,
    Meta(
        max_length=512,
        pattern=r"^(\$[a-z0-9]{1,12}\$[./A-Za-z0-9$=,+-]{8,})?\Z",
        description="the hash of the user's password, as crypt(3) has it; `openssl passwd -6` makes one; never shown",
    ),
]
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HostName = Annotated[
    str, Meta(max_length=253, pattern=rf"^({_LABEL}(\.{_LABEL})*)?\Z", description="absent: derived from the VM's name")
]
Package = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9+._:=~@/-]{0,127}\Z")]
TimeZone = Annotated[
    str, Meta(max_length=64, pattern=r"^([A-Za-z][A-Za-z0-9_+/-]*)?\Z", description="such as Europe/Berlin")
]

SECRETS = ("password_hash", "user_data", "network_config", "meta_data")
"""Never shown in responses."""


class CloudInit(Wire, frozen=True):
    """In a change, absent fields keep their value, and empty ones are removed. A VM without any of these has no CD for
    cloud-init."""

    user: Login | UnsetType = UNSET
    ssh_keys: (
        Annotated[
            list[SshKey], Meta(max_length=64, description="public keys that log in as the user, as in authorized_keys")
        ]
        | UnsetType
    ) = UNSET
    password_hash: PasswordHash | UnsetType = UNSET
    hostname: HostName | UnsetType = UNSET
    packages: Annotated[list[Package], Meta(max_length=256, description="packages to install")] | UnsetType = UNSET
    timezone: TimeZone | UnsetType = UNSET
    user_data: (
        Annotated[
            Text,
            Meta(
                description="complete user-data for cloud-init, instead of all fields but `hostname`: at most "
                f"{TEXT_BYTES:,} bytes of UTF-8; never shown"
            ),
        ]
        | UnsetType
    ) = UNSET
    network_config: (
        Annotated[Text, Meta(description="cloud-init's network-config; never shown; absent: DHCP")] | UnsetType
    ) = UNSET
    meta_data: Annotated[Text, Meta(description="additional cloud-init meta-data; never shown")] | UnsetType = UNSET


class CloudInitInfo(Wire, frozen=True):
    """The fields that are set; of secret ones only that they are."""

    secrets: Annotated[list[str], Meta(description="the fields that are set and never shown")]
    user: str | UnsetType = UNSET
    ssh_keys: list[str] | UnsetType = UNSET
    hostname: str | UnsetType = UNSET
    packages: list[str] | UnsetType = UNSET
    timezone: str | UnsetType = UNSET
