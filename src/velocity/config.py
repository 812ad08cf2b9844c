"""The settings: declared once, here; read once; immutable. The reference page is generated from this file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from velocity import network_settings, pool_settings
from velocity.pool_settings import PoolSetting as PoolSetting

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

PREFIX = "VELOCITY_"


class ConfigError(Exception):
    """A setting is unknown or wrong; the message says where it is, and the cure."""


class NicSetting(Struct, frozen=True, forbid_unknown_fields=True):
    """A host NIC that VMs may be bridged to: a Linux bridge or an ordinary interface."""

    nicid: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    identifier: Annotated[str, Meta(pattern=r"^[^\s/:]{1,15}\Z")]
    description: str = ""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every setting, of the TOML file or as VELOCITY_<NAME> in the environment."""

    listen: Annotated[
        str,
        Meta(pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}\Z", description="`address:port` to serve on"),
    ] = "127.0.0.1:8090"
    node_listen: Annotated[
        str,
        Meta(
            pattern=r"^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}\Z",
            description="`address:port` that `velocity node serve` serves on, to the server that this machine has "
            "joined, and to nobody else",
        ),
    ] = "0.0.0.0:8091"
    move_address: Annotated[
        str,
        Meta(
            pattern=r"^([0-9a-fA-F:]*:[0-9a-fA-F:.]*|\d{1,3}(\.\d{1,3}){3})?\Z",
            description="the IP address to which other hosts send running VMs; empty: that of `node_listen` or, if it "
            "names none, this host's address on its default route",
        ),
    ] = ""
    move_ports: Annotated[
        str,
        Meta(
            pattern=r"^\d{1,5}-\d{1,5}\Z",
            description="the TCP ports to which other hosts send running VMs, two for each VM at a time",
        ),
    ] = "8100-8131"
    data_dir: Annotated[Path, Meta(description="the directory for all persistent data")] = Path()
    database: Annotated[
        str,
        Meta(
            description="the URL of the database (`postgresql://user:password@host/name`); empty: SQLite in `data_dir`",
        ),
    ] = ""
    standby: Annotated[
        bool, Meta(description="wait as a node while another server leads the database (PostgreSQL), then take over")
    ] = False
    pools: Annotated[
        list[PoolSetting],
        Meta(
            description="media pools: `mpid`, `name`, `path`, and `shared = true` if several hosts have mounted it; "
            'for RBD of a Ceph cluster instead of a path `kind = "rbd"`, `rados_pool`, and, unless they are the '
            "defaults, `namespace`, `user` (`velocity`) and `conf` (`/etc/ceph/ceph.conf`); empty: one pool `default` "
            "(1) in `data_dir`"
        ),
    ] = []
    nics: Annotated[
        list[NicSetting], Meta(description="host NICs for BRIDGE: `nicid`, `identifier`, `description`")
    ] = []
    cors_origins: Annotated[list[str], Meta(description="origins of other web sites whose pages may call the API")] = []
    trusted_proxies: Annotated[
        list[str],
        Meta(
            description="reverse proxies (addresses, networks) whose X-Forwarded-For, -Proto, -Host and -Port are "
            "trusted"
        ),
    ] = []
    nat_subnet: Annotated[
        str,
        Meta(
            description="the network of NAT guests on a bridge (`10.80.0.0/20`), in private addresses; empty: one that "
            "this host does not use; `none`: no bridge, but QEMU's user network, as without root"
        ),
    ] = ""
    forward_ports: Annotated[
        str,
        Meta(
            pattern=r"^(none|\d{1,5}(-\d{1,5})?)\Z",
            description="the ports of this host that may lead to VMs (`20000-29999`); `none`: none",
        ),
    ] = "1024-65535"
    authkey_lifetime: Annotated[int, Meta(ge=1, le=31_536_000, description="seconds until an authkey expires")] = 3600
    root_password: Annotated[
        str,
        Meta(
            description="the password of `root` at the first start, 8 to 1,024 characters; empty: a random "
            "one is generated"
        ),
    ] = ""
    accelerator: Annotated[
        Literal["auto", "kvm", "tcg"],
        Meta(description="what runs the guests: `kvm`, `tcg` (software emulation), or `auto`: KVM if it is available"),
    ] = "auto"
    tls_cert: Annotated[str, Meta(description="file of the certificate chain (PEM); empty: no TLS")] = ""
    tls_key: Annotated[str, Meta(description="file of the private key (PEM)")] = ""
    fetch_ca: Annotated[
        str,
        Meta(
            description="file of authorities (PEM) that `velocity media fetch` trusts besides those of the system; "
            "empty: none"
        ),
    ] = ""
    catalogues: Annotated[
        list[str],
        Meta(description="files (TOML) of images that are known by name, besides those that Velocity comes with"),
    ] = []
    runtime_dir: Annotated[
        str,
        Meta(
            description="directory for the sockets of running machines; empty: /run/velocity, or in the user's "
            "runtime directory"
        ),
    ] = ""
    fence_agents: Annotated[
        list[str], Meta(description="directories with fence agents (`fence_*`) besides those of the distribution")
    ] = []
    fence_after: Annotated[
        int, Meta(ge=0, le=86_400, description="seconds of silence until a host is fenced automatically; 0: never")
    ] = 60
    uid_base: Annotated[
        int,
        Meta(
            ge=1000,
            le=2**31,
            description="the first of 10,032 uids: one per VM process, the last 32 for reading images and for NAT's "
            "dnsmasq (only as root)",
        ),
    ] = 20000
    trash_days: Annotated[
        int, Meta(ge=0, le=3650, description="days until deleted objects are removed permanently; 0: no trash")
    ] = 7
    history_days: Annotated[int, Meta(ge=1, le=3650, description="days until entries of the history are removed")] = 90
    event_streams: Annotated[
        int, Meta(ge=1, le=1024, description="event streams that one user may have open at a time")
    ] = 16
    log_stalls: Annotated[
        bool, Meta(description="log, with its stack, whatever blocks the event loop for 50 ms or longer")
    ] = False
    group_depth: Annotated[int, Meta(ge=1, le=1000, description="levels of groups below the root group")] = 32
    group_subgroups: Annotated[int, Meta(ge=1, le=10**6, description="subgroups of one group")] = 1000
    group_vms: Annotated[int, Meta(ge=1, le=10**6, description="VMs of one group, without its subgroups")] = 10_000
    group_media: Annotated[int, Meta(ge=1, le=10**6, description="media of one group, without its subgroups")] = 10_000
    group_users: Annotated[int, Meta(ge=1, le=10**6, description="users whose home is one group")] = 10_000
    user_sessions: Annotated[
        int, Meta(ge=1, le=10**6, description="sessions of one user: a new one ends the oldest beyond that")
    ] = 1000
    user_uploads: Annotated[
        int, Meta(ge=1, le=1000, description="resumable uploads that one user may have under way at a time")
    ] = 16
    user_tickets: Annotated[
        int, Meta(ge=1, le=10_000, description="unused console tickets that one user may have at a time")
    ] = 64
    user_consoles: Annotated[int, Meta(ge=1, le=10**5, description="consoles that one user may have open")] = 1000
    user_keys: Annotated[
        int, Meta(ge=1, le=10**6, description="requests with an Idempotency-Key that one user may send in a day")
    ] = 1000
    user_tasks: Annotated[int, Meta(ge=1, le=1000, description="tasks that one user may run at a time")] = 32
    user_pictures: Annotated[
        int, Meta(ge=1, le=1000, description="pictures and readings of screens that one user may wait for at a time")
    ] = 8
    user_guest_requests: Annotated[
        int, Meta(ge=1, le=1000, description="requests to guest agents that one user may wait for at a time")
    ] = 32
    console_escape: Annotated[
        str,
        Meta(
            pattern=r"^(\^[@A-Za-z\[\\\]?]|none)\Z",
            description="the key that leaves `velocity vm console`: `^` and a letter or one of `@[\\]?`, or `none`",
        ),
    ] = "^]"
    body_limit: Annotated[int, Meta(ge=1024, le=2**30, description="the largest JSON body of a request, in bytes")] = (
        1_048_576
    )

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def node_port(self) -> int:
        return int(self.node_listen.rpartition(":")[2])

    @property
    def forwardable(self) -> range:
        """The ports of this host that may be forwarded to VMs."""
        return network_settings.ports(self.forward_ports)

    @property
    def move_host(self) -> str:
        """The address at which this host receives moving VMs; empty: all of its addresses."""
        listened = self.node_listen.rpartition(":")[0].strip("[]")
        return self.move_address or (listened if network_settings.is_address(listened) else "")

    @property
    def move_range(self) -> range:
        """The ports at which this host receives moving VMs."""
        return network_settings.ports(self.move_ports)

    @property
    def proxies(self) -> list[IPv4Network | IPv6Network]:
        from ipaddress import ip_network

        return [ip_network(one) for one in self.trusted_proxies]

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data_dir / 'velocity.db'}"

    @property
    def media_pools(self) -> list[PoolSetting]:
        return self.pools or [PoolSetting(mpid=1, name="default", path=self.data_dir / "media")]

    @property
    def image_uid(self) -> int:
        """The group (as root) of programs that read images, whose uids follow it. It follows the uids of VMs."""
        return self.uid_base + 10_000

    @property
    def key_file(self) -> Path:
        """The file with an authkey of `root`, readable to the server's account."""
        return self.data_dir / "root.key"

    @property
    def base_url(self) -> str:
        """The server's URL for a client on this machine."""
        host, port = self.address
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
        return f"{'https' if self.tls_cert else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def load(file: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of the file (or the one in VELOCITY_CONFIG), overridden by those of the environment."""
    if file is None and environ.get(PREFIX + "CONFIG"):
        file = Path(environ[PREFIX + "CONFIG"])
    values = (_from_file(file) if file else {}) | _from_environment(environ)
    settings = _convert(values)
    place = settings.data_dir if values.get("data_dir") else default_data_dir(environ)
    return _check(msgspec.structs.replace(settings, data_dir=place.expanduser().absolute()))


def default_data_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """`var` in a checkout; otherwise /var/lib/velocity for root, and the user's data directory for others."""
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / "Makefile").is_file() and (checkout / "pyproject.toml").is_file():
        return checkout / "var"
    if os.geteuid() == 0:
        return Path("/var/lib/velocity")
    return Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "velocity"


def _here() -> Path:
    """Where relative paths begin; if that directory was removed, only absolute ones can be used."""
    try:
        return Path.cwd()
    except OSError:
        return Path()


def _from_file(file: Path) -> dict[str, Any]:
    import tomllib

    try:
        values = tomllib.loads(text := file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file} is not UTF-8") from None
    except (ValueError, RecursionError) as error:  # digits or brackets without end are no TOMLDecodeError
        raise ConfigError(f"{file}: {error}") from None
    for name, value in values.items():
        try:
            _convert({name: value})
        except ConfigError as error:
            raise ConfigError(f"{file}, line {_line(text, name)}: {error}") from None
    return _whole_paths(values, file.parent.absolute())


def _whole_paths(values: dict[str, Any], base: Path) -> dict[str, Any]:
    for key in ("data_dir", "tls_cert", "tls_key", "fetch_ca", "runtime_dir"):
        if values.get(key):
            values[key] = _whole_path(values[key], base, key)
    for key in ("catalogues", "fence_agents"):
        if values.get(key):
            values[key] = [_whole_path(one, base, key) for one in values[key]]
    for pool in values.get("pools", []):
        pool |= {key: _whole_path(pool[key], base, f"pools: {key}") for key in ("path", "conf") if key in pool}
    return values


def _whole_path(text: str, base: Path, key: str) -> str:
    try:
        return str(base / Path(text).expanduser())
    except RuntimeError:  # as pathlib says it
        raise ConfigError(f"{key}: {text.partition('/')[0]} stands for no user's home directory on this host") from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for variable, text in environ.items():
        if not is_setting(variable):
            continue
        name = variable.removeprefix(PREFIX).lower()
        field = _FIELDS[name]
        value: Any = text
        if field.type is not str and not isinstance(field.default, str | Path):
            import tomllib

            try:
                value = tomllib.loads(f"value = {text}")["value"]
            except (ValueError, RecursionError):
                raise ConfigError(f"{variable}: {text!r} is not a TOML value") from None
        try:
            _convert({name: value})
        except ConfigError as error:
            raise ConfigError(f"{variable}: {error}") from None
        values[name] = value
    return _whole_paths(values, _here())


def is_setting(variable: str) -> bool:
    return variable.startswith(PREFIX) and variable == variable.upper() and variable[len(PREFIX) :].lower() in _FIELDS


def foreign(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Variables that begin as ours but are none. They are no error, as others use the prefix: Kubernetes, for one."""
    known = {*_OTHER_VARIABLES, *(PREFIX + name.upper() for name in _FIELDS)}
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)


_FIELDS = {field.name: field for field in msgspec.structs.fields(Settings)}
_OTHER_VARIABLES = {PREFIX + name for name in ("CONFIG", "SERVER", "AUTHKEY", "CA", "TRACEBACK")}
"""Our variables that are no settings."""


def _convert(values: dict[str, Any]) -> Settings:
    unknown = [name for name in values if name not in _FIELDS]
    if unknown:
        raise ConfigError(f"`{unknown[0]}` is not a setting; the settings are: {', '.join(_FIELDS)}")
    try:
        return msgspec.convert(values, Settings, dec_hook=lambda kind, value: kind(value))
    except msgspec.ValidationError as error:
        raise ConfigError(str(error).replace("`$.", "`").replace("Object contains", "contains")) from None


def _line(text: str, name: str) -> int:
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(rf"\s*(\[+\s*)?[\"']?{re.escape(name)}[\"']?\s*[\].=]", line):
            return number
    return 1


def _check(settings: Settings) -> Settings:
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise ConfigError("tls_cert and tls_key belong together: set both, or neither")
    if settings.root_password and not 8 <= len(settings.root_password) <= 1024:
        raise ConfigError("root_password must have 8 to 1,024 characters")
    try:
        network_settings.check(settings)
        pool_settings.check(settings.pools)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    named: tuple[tuple[str, list[object]], ...] = (
        ("pools: the mpid", [pool.mpid for pool in settings.pools]),
        ("pools: the name", [pool.name for pool in settings.pools]),
        ("pools: the place", [pool_settings.place(pool) for pool in settings.pools]),
        ("nics: the nicid", [nic.nicid for nic in settings.nics]),
    )
    for what, ids in named:
        twice = [one for one in ids if ids.count(one) > 1]
        if twice:
            raise ConfigError(f"{what} {twice[0]!r} occurs twice")
    return settings
