"""Which options are passed to fence agents, and which of them are secret. Pure.

Some options of agents name programs to run or files to write, such as `password_script` and `ssh_options`. So only the
options listed here are accepted: permission to change hosts must not become permission to run programs.
https://github.com/ClusterLabs/fence-agents/blob/main/doc/FenceAgentAPI.md
"""

from __future__ import annotations

from collections.abc import Mapping

from velocity.contract.problems import Problem, Refused

SECRET = frozenset(
    {
        "password", "passwd", "community", "snmp_priv_passwd", "hexadecimal_kg", "token", "token_key", "api_key",
        "access_key", "secret_key",
    }
)  # fmt: skip
PASSED = SECRET | {
    # where the device is, and which of its outlets or machines is meant
    "ip", "ipaddr", "ipport", "inet4_only", "inet6_only", "plug", "port", "switch", "nodename", "uuid", "namespace",
    "target", "systems_uri", "redfish_uri", "region", "zone", "project", "vmtype", "pve_node", "pve_node_auto",
    "vmware_datacenter", "vmware_type",
    # credentials, and how to authenticate
    "username", "login", "auth", "privlvl", "cipher", "lanplus", "token_name", "pve_node_token",
    "snmp_version", "snmp_auth_prot", "snmp_sec_level", "snmp_priv_prot",
    "ssl", "ssl_secure", "ssl_insecure", "notls", "tls1.0", "ribcl_version", "drac_version",
    # timeouts and methods
    "method", "delay", "login_timeout", "shell_timeout", "power_timeout", "power_wait", "ipmitool_timeout", "retry_on",
}  # fmt: skip


def check(options: Mapping[str, str]) -> None:
    """Raises `Refused(FENCE_OPTION)` if one of them is not accepted."""
    for name in options:
        if name not in PASSED:
            raise Refused(
                Problem.FENCE_OPTION,
                f"the option {name!r} is not passed to fence agents: leave it out, or put a script that sets it and "
                "calls the agent, as fence_NAME, into a directory of the setting `fence_agents`",
                field="options",
            )


def shown(options: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The options that are not secret, and the names of the secret ones."""
    open_ = {name: value for name, value in options.items() if name not in SECRET}
    return open_, sorted(options.keys() & SECRET)


def hidden(text: str, options: Mapping[str, str]) -> str:
    """`text` with the values of secret options replaced, in case an agent repeats them."""
    for name in options.keys() & SECRET:
        if options[name]:
            text = text.replace(options[name], "***")
    return text
