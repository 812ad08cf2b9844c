"""Which options are passed to fence agents, and which of them are secret. Pure.

Agents take options by which they run other programs or write files, such as `password_script` and `ssh_options`.
So only these are passed on: whoever may change hosts by the API gets no program run by that.
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
    # where it is, and which of its outlets or machines
    "ip", "ipaddr", "ipport", "inet4_only", "inet6_only", "plug", "port", "switch", "nodename", "uuid", "namespace",
    "target", "systems_uri", "redfish_uri", "region", "zone", "project", "vmtype", "pve_node", "pve_node_auto",
    "vmware_datacenter", "vmware_type",
    # how one signs in there
    "username", "login", "auth", "privlvl", "cipher", "lanplus", "token_name", "pve_node_token",
    "snmp_version", "snmp_auth_prot", "snmp_sec_level", "snmp_priv_prot",
    "ssl", "ssl_secure", "ssl_insecure", "notls", "tls1.0", "ribcl_version", "drac_version",
    # how long, and how
    "method", "delay", "login_timeout", "shell_timeout", "power_timeout", "power_wait", "ipmitool_timeout", "retry_on",
}  # fmt: skip


def check(options: Mapping[str, str]) -> None:
    """Raises `Refused(FENCE_OPTION)`."""
    for name in options:
        if name not in PASSED:
            raise Refused(
                Problem.FENCE_OPTION,
                f"the option {name!r} is not passed to fence agents: leave it out, or put a script that sets it and "
                "calls the agent, as fence_NAME, into a directory of the setting `fence_agents`",
                field="options",
            )


def shown(options: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Those that are no secret, and the names of those that are."""
    open_ = {name: value for name, value in options.items() if name not in SECRET}
    return open_, sorted(options.keys() & SECRET)


def hidden(text: str, options: Mapping[str, str]) -> str:
    """Without the secrets, in case an agent repeats them."""
    for name in options.keys() & SECRET:
        if options[name]:
            text = text.replace(options[name], "***")
    return text
