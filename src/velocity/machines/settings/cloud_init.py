"""Makes the files that cloud-init in a guest reads, from a VM's setting. Pure.

https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html
"""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID, uuid4

import yaml
from msgspec import UNSET, UnsetType, structs

from velocity.contract.cloud_init import SECRETS, TEXT_BYTES, CloudInit, CloudInitInfo
from velocity.contract.problems import Problem, Refused
from velocity.hypervisor.port import SeedSpec
from velocity.machines.rules import Machine, Spec

DEEPEST = 100
"""The deepest nesting of YAML."""
CLOUD_CONFIG = "#cloud-config"
KINDS = (
    CLOUD_CONFIG, "#!", "#include", "#cloud-boothook", "#part-handler", "## template:",
    "Content-Type:", "MIME-Version:",
)  # fmt: skip
"""How user-data may begin."""
SHORT = ("user", "ssh_keys", "password_hash", "packages", "timezone")
"""The fields from which user-data is made, if it is not given as a text."""


def changed(has: CloudInit | UnsetType, given: CloudInit) -> CloudInit | UnsetType:
    """The setting after a change: absent fields stay, empty ones are removed; UNSET: nothing is left."""
    values = {name: value for name, value in structs.asdict(given).items() if value is not UNSET}
    return _unless_empty(structs.replace(has or CloudInit(), **{name: one or UNSET for name, one in values.items()}))


def _unless_empty(wanted: CloudInit) -> CloudInit | UnsetType:
    return UNSET if wanted == CloudInit() else wanted


def with_instance(spec: Spec, has: Spec | None, *, new: bool = False) -> Spec:
    """The setting with an instance-id: random, and new when a new instance is requested.

    It is secret, so that no revision tells whether a secret was guessed.
    """
    if spec.cloud_init is UNSET:
        return spec
    kept = "" if has is None or new else has.instance_id
    return structs.replace(spec, instance_id=kept or uuid4().hex)


def of_clone(has: Spec, *, secrets: bool) -> Spec:
    """The setting of a clone, which cloud-init configures as a new machine with its own name."""
    wanted = structs.replace(has.cloud_init or CloudInit(), hostname=UNSET)
    if not secrets:
        wanted = structs.replace(wanted, **dict.fromkeys(SECRETS, UNSET))
    return with_instance(structs.replace(has, cloud_init=_unless_empty(wanted), instance_id=""), None)


def lost(has: Spec) -> list[str]:
    """The secrets that a clone does not get, in words."""
    found = shown(has.cloud_init).secrets
    words = f"the clone does not get {', '.join(found)} of cloud-init: this needs velocity.vm.alter on the VM's group"
    return [words] if found else []


def shown(wanted: CloudInit | UnsetType) -> CloudInitInfo:
    values = {name: one for name, one in structs.asdict(wanted or CloudInit()).items() if one is not UNSET}
    secrets = [values.pop(name) and name for name in SECRETS if name in values]
    return CloudInitInfo(**values, secrets=secrets)


def check(wanted: CloudInit) -> None:
    """Refuse what cloud-init would not accept. Called in a thread, as texts may be long. Raises `Refused`."""
    for name in ("user_data", "network_config", "meta_data"):
        text = getattr(wanted, name) or ""
        if len(text.encode("utf-8", "surrogatepass")) > TEXT_BYTES:
            raise _refused(name, f"has more than {TEXT_BYTES:,} bytes: let it fetch the rest, by #include")
    if wanted.user_data:
        _check_user_data(wanted.user_data, [name for name in SHORT if getattr(wanted, name)])
    if wanted.network_config:
        _check_yaml("network_config", wanted.network_config)
    if wanted.meta_data:
        _check_yaml("meta_data", wanted.meta_data, aliases=False)
        try:
            _dump(_load(wanted.meta_data))  # as at a start
        except (yaml.YAMLError, ValueError):
            raise _refused("meta_data", "has a value that cannot be read: put it into quotes") from None


def _check_user_data(text: str, beside: list[str]) -> None:
    if beside:
        raise _refused(
            "user_data",
            f"takes the place of {', '.join(beside)}: put those into the text and remove them here, or leave the text "
            "out",
        )
    if not text.startswith(KINDS):
        raise _refused("user_data", f"has no first line that cloud-init knows: begin it with {CLOUD_CONFIG}")
    if text.partition("\n")[0].strip() == CLOUD_CONFIG:
        _check_yaml("user_data", text)


def _check_yaml(name: str, text: str, *, aliases: bool = True) -> None:
    """Parses to events only: nothing is built, so aliases cannot expand."""
    depth, anchors, roots = 0, set[str](), 0
    try:
        for event in yaml.parse(text, yaml.CSafeLoader):
            if isinstance(event, yaml.AliasEvent):
                if not aliases:
                    raise _refused(name, "has an alias (*): write the value itself")
                if event.anchor not in anchors:
                    raise _refused(name, "has an alias (*) of an anchor that is missing")
            elif isinstance(event, yaml.NodeEvent) and event.anchor is not None:
                anchors.add(event.anchor)
            if depth == 0 and isinstance(event, yaml.NodeEvent):
                roots += 1
                if roots > 1 or not isinstance(event, yaml.MappingStartEvent):
                    raise _refused(name, "is not a YAML mapping: write lines such as `key: value`")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise _refused(name, f"is more than {DEEPEST} levels deep")
    except yaml.YAMLError as error:
        raise _refused(name, f"is no YAML{_where(error)}") from None


def _where(error: yaml.YAMLError) -> str:
    """Only the position: the text there may be secret."""
    mark, problem = getattr(error, "problem_mark", None), str(getattr(error, "problem", None) or "")
    place = "" if mark is None else f", line {mark.line + 1}, column {mark.column + 1}"
    return f"{place}: {problem}" if re.fullmatch(r"[a-z' ,:-]{1,100}", problem) else place


def _refused(name: str, words: str) -> Refused:
    return Refused(Problem.MALFORMED, f"cloud_init.{name} {words}", field=f"cloud_init.{name}")


def seed(machine: Machine) -> SeedSpec | None:
    """The files for its guest; None if nothing is set."""
    wanted, spec = machine.spec.cloud_init, machine.spec
    if wanted is UNSET:
        return None
    name = wanted.hostname or host_name(machine.name, machine.uuid)
    about = {"instance-id": spec.instance_id, "local-hostname": name}
    if wanted.meta_data:
        about |= _load(wanted.meta_data)
    return SeedSpec(
        user_data=wanted.user_data or user_data(wanted),
        meta_data=_dump(about),
        network_config=wanted.network_config or "",
    )


def host_name(name: str, uuid: UUID) -> str:
    """A host name from a VM's name."""
    found = re.sub(r"[^a-z0-9]+", "-", name.lower())[:63].strip("-")
    return found or f"vm-{str(uuid)[:8]}"


def user_data(wanted: CloudInit) -> str:
    """User-data from the short form.

    The user replaces the image's default user, with its groups, shell and sudo rights. Without a key, ssh accepts the
    password. The guest's own name is put into /etc/hosts, where sudo looks for it.
    """
    user: dict[str, Any] = {}
    if wanted.user:
        user["name"] = wanted.user
    if wanted.ssh_keys:
        user["ssh_authorized_keys"] = wanted.ssh_keys
    if wanted.password_hash:
        user |= {"hashed_passwd": wanted.password_hash, "lock_passwd": False}
    config: dict[str, Any] = {"manage_etc_hosts": "localhost"} | ({"user": user} if user else {})
    if wanted.password_hash and not wanted.ssh_keys:
        config["ssh_pwauth"] = True
    if wanted.timezone:
        config["timezone"] = wanted.timezone
    if wanted.packages:
        config |= {"package_update": True, "packages": wanted.packages}
    return f"{CLOUD_CONFIG}\n{_dump(config)}"


def _load(text: str) -> dict[str, Any]:
    """Parse a text that was checked, and has no aliases."""
    return yaml.load(text, yaml.CSafeLoader) or {}  # a safe loader, written in C


def _dump(value: dict[str, Any]) -> str:
    return str(yaml.dump(value, Dumper=yaml.CSafeDumper, sort_keys=False, width=10**6))
