"""The history in words: a phrase for each operation, and for what the server does by itself.

The page and the command line build their sentences from it, and the OpenAPI document has it for other programs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Phrase:
    """A verb in the past, and as it follows "tried to", for what was refused; then what it was about.

    `rest` has places for names. By the ids in the target: `{vm}`, `{medium}`, `{user}`, `{group}`, `{parent}` (group),
    `{pool}` and `{host}`; `{from_pool}` and `{from_host}` by what `mpid` and `host` were before; `{source}`, the VM
    that it is a clone of. `{made}` is the name in the target, `{permission}` a permission, `{disks}` a number. In
    `{vm:name}`, the name in the target is what the VM was called then, for readers who do not see it any more.

    `when` is what holds for it: words of the target by their values, "" for any. Of "old->new", `state` has the new one
    and `from_state` the old one. Of several phrases the first one counts.
    """

    past: str
    infinitive: str
    rest: str = ""
    when: Mapping[str, str] = field(default_factory=dict)


def _did(past: str, infinitive: str, rest: str = "", /, **when: str) -> Phrase:
    return Phrase(past, infinitive, rest, when)


def _same(verb: str, rest: str = "", /, **when: str) -> Phrase:
    return Phrase(verb, verb, rest, when)


def _saw(what: str, of: str = "") -> Sequence[Phrase]:
    """A read, which the history has only if it was refused."""
    return (_did("saw", "see", f"{what}{of and f' of {of}'}"),)


_NODE = "{host:name}"
_VM = "{vm:name}"
_MEDIUM = "{medium:name}"

PHRASES: Mapping[str, Sequence[Phrase]] = {
    # Sessions
    "sign_in": (_did("signed in", "sign in"),),
    "open_session": (_did("signed in", "sign in"),),
    "sign_out": (_did("signed out", "sign out"),),
    "end_session": (_did("ended", "end", "another session", sid=""), _did("signed out", "sign out")),
    "renew": (_did("renewed", "renew", "the session"),),
    "renew_session": (_did("renewed", "renew", "the session"),),
    "show_session": (_did("continued", "continue", "a session that does not exist"),),
    # Users and permissions
    "create_user": (_did("created", "create", "user {made}"),),
    "remove_user": (_did("removed", "remove", "{user:name}"),),
    "change_user": (
        _same("set", "the home group of {user:name} to {group}", uid="", gid=""),
        _same("set", "their own home group to {group}", gid=""),
        _same("set", "the password of {user:name}", uid=""),
        _did("changed", "change", "their own password"),
    ),
    "grant_permission": (_did("granted", "grant", "{permission} on {group} to {user}"),),
    "revoke_permission": (_did("revoked", "revoke", "{permission} on {group} from {user}"),),
    # Groups and pools
    "create_group": (_did("created", "create", "group {made} under {parent}"),),
    "delete_group": (_did("deleted", "delete", "{group:name}"),),
    "set_quota": (_same("set", "the quota of {group:name}"),),
    "assign_pool": (_did("assigned", "assign", "{pool} to {group:name}"),),
    "revoke_pool": (_did("revoked", "revoke", "{pool} from {group:name}"),),
    # Media
    "create_medium": (_did("created", "create", "medium {made} in {group}"),),
    "upload_medium": (_did("uploaded", "upload", "medium {made} to {group}"),),
    "upload_resumable": (_did("uploaded", "upload", "medium {made} to {group}"),),
    "end_upload": (_did("ended", "end", "the upload of {medium:name}"),),
    "import_medium": (_did("began to import", "import", "{medium} as medium {made} in {group}"),),
    "fetch_medium": (_did("began to fetch", "fetch", "medium {made} to {group}"),),
    "clone_medium": (_did("began to clone", "clone", "{medium} as medium {made} in {group}"),),
    "download_medium": (_did("downloaded", "download", _MEDIUM),),
    "alter_medium": (_did("changed", "change", _MEDIUM),),
    "move_medium": (
        _did("began to move", "move", f"{_MEDIUM} from {{from_pool}} to {{pool}} and {{group}}", from_mpid="", gid=""),
        _did("began to move", "move", f"{_MEDIUM} from {{from_pool}} to {{pool}}", from_mpid=""),
        _did("moved", "move", f"{_MEDIUM} to {{pool}} and {{group}}", mpid="", gid=""),
        _did("moved", "move", f"{_MEDIUM} to {{pool}}", mpid=""),
        _did("moved", "move", f"{_MEDIUM} to {{group}}"),
    ),
    "convert_medium": (_did("began to convert", "convert", _MEDIUM),),
    "delete_medium": (_did("deleted", "delete", _MEDIUM),),
    # VMs
    "create_vm": (
        _did("created", "create", f"{_VM} in {{group}}, as a clone of {{source}}", cloned=""),
        _did("created", "create", f"{_VM} in {{group}}"),
    ),
    "alter_vm": (_did("changed", "change", _VM),),
    "delete_vm": (
        _did("deleted", "delete", f"{_VM} and its disk", disks="1"),
        _did("deleted", "delete", f"{_VM} and its {{disks}} disks", disks=""),
        _did("deleted", "delete", _VM),
    ),
    "set_vm_state": (
        _did("forced", "force", f"{_VM} off", state="STOPPED", force="true"),
        _did("asked", "ask", f"{_VM} to shut down", state="STOPPED"),
        _did("resumed", "resume", _VM, state="RUNNING", from_state="PAUSED"),
        _did("started", "start", _VM, state="RUNNING"),
        _did("paused", "pause", _VM, state="PAUSED"),
        _same("set", f"the state of {_VM}"),
    ),
    "restart_vm": (
        _did("restarted", "restart", f"{_VM} by force", force="true"),
        _did("asked", "ask", f"{_VM} to restart"),
    ),
    "reset_vm": (_did("reset", "reset", _VM),),
    "choose_boot": (_did("chose", "choose", f"the next start of {_VM}"),),
    "clone_vm": (_did("began to clone", "clone", "{vm} as VM {made} in {group}"),),
    "move_vm": (_did("moved", "move", f"{_VM} to {{group}}"),),
    "move_vm_to_host": (
        _did("began to move", "move", f"{_VM} from {{from_host}} to {{host}}", from_host=""),
        _did("began to move", "move", f"{_VM} to {{host}}", host=""),
        _did("began to move", "move", f"{_VM} to another host"),
    ),
    "open_console": (_did("opened", "open", f"the console of {_VM}"),),
    "execute_in_guest": (_did("ran", "run", f"a program in {_VM}"),),
    "set_guest_password": (_same("set", f"a password in {_VM}"),),
    "add_guest_keys": (_did("added", "add", f"SSH keys to {_VM}"),),
    "write_guest_file": (_did("wrote", "write", f"a file in {_VM}"),),
    "freeze_guest": (_did("froze", "freeze", f"the file systems of {_VM}"),),
    "thaw_guest": (_did("thawed", "thaw", f"the file systems of {_VM}"),),
    "start_again": (_did("started", "start", f"{_VM} again"),),
    # Hosts
    "make_node_token": (
        _did("created", "create", f"a token for {_NODE}", host=""),
        _did("created", "create", "a token for a host"),
    ),
    "join_node": (_did("joined", "join", f"as {_NODE}"),),
    "set_node": (
        _did("began", "begin", f"to keep copies of the database on {_NODE}", keeps_copy="true"),
        _did("ended", "end", f"the copies of the database on {_NODE}", keeps_copy="false"),
        _did("began", "begin", f"to drain {_NODE}", duty="draining"),
        _did("began", "begin", f"maintenance of {_NODE}", duty="maintenance"),
        _did("ended", "end", f"maintenance of {_NODE}", duty="active", from_duty="maintenance"),
        _did("ended", "end", f"the draining of {_NODE}", duty="active", from_duty="draining"),
        _did("activated", "activate", _NODE, duty="active"),
        _did("changed", "change", _NODE),
    ),
    "drain_node": (_did("began to move", "move", f"all VMs away from {_NODE}"),),
    "remove_node": (_did("removed", "remove", _NODE),),
    "set_fence": (_same("set", f"the fence agent of {_NODE}"),),
    "remove_fence": (_did("removed", "remove", f"the fence agent of {_NODE}"),),
    "fence_node": (_did("powered off", "power off", _NODE),),
    "confirm_dead": (_did("confirmed", "confirm", f"that {_NODE} is off"),),
    "blocklist_node": (_did("blocklisted", "blocklist", f"{_NODE} on Ceph"),),
    "unblock_node": (_did("took", "take", f"{_NODE} off the blocklist of Ceph"),),
    "host_returned": (_did("cleaned up", "clean up", f"{_NODE}, which has returned"),),
    # Tasks and the trash
    "cancel_task": (
        _did("asked", "ask", "to cancel the emptying of the trash, which ended first", state="", kind="empty"),
        _did("asked", "ask", "to cancel the task {made}, which ended first", state="", name=""),
        _did("asked", "ask", "to cancel a task, which ended first", state=""),
        _did("cancelled", "cancel", "the fetch of {made}", kind="fetch"),
        _did("cancelled", "cancel", "the import of {made}", kind="import"),
        _did("cancelled", "cancel", "the cloning of a medium as {made}", kind="clone"),
        _did("cancelled", "cancel", "the cloning of a VM as {made}", kind="clone_vm"),
        _did("cancelled", "cancel", "the move of medium {made}", kind="move"),
        _did("cancelled", "cancel", "the conversion of {made}", kind="convert"),
        _did("cancelled", "cancel", "the compaction of {made}", kind="compact"),
        _did("cancelled", "cancel", "the move of VM {made}", kind="move_vm"),
        _did("cancelled", "cancel", "the moves of all VMs away from host {made}", kind="drain"),
        _did("cancelled", "cancel", "the emptying of the trash", kind="empty"),
        _did("cancelled", "cancel", "the task {made}", name=""),
        _did("cancelled", "cancel", "a task"),
    ),
    "restore": (
        _did("restored", "restore", f"{_VM} from the trash", vmid=""),
        _did("restored", "restore", f"{_MEDIUM} from the trash", mid=""),
        _did("restored", "restore", "{group:name} from the trash", gid=""),
        _did("restored", "restore", "an item from the trash"),
    ),
    "purge": (
        _did("permanently removed", "permanently remove", _VM, vmid=""),
        _did("permanently removed", "permanently remove", _MEDIUM, mid=""),
        _did("permanently removed", "permanently remove", "{group:name}", gid=""),
        _did("permanently removed", "permanently remove", "an item from the trash"),
    ),
    "empty_trash": (_did("began to empty", "empty", "the trash"),),
    # Reads
    "explain": _saw("who may do what"),
    "list_groups": _saw("the groups"),
    "list_history": _saw("the history", "{group}"),
    "list_images": _saw("the catalogue of images"),
    "list_media": _saw("the media", "{group}"),
    "list_nics": _saw("the NICs of the host"),
    "list_nodes": _saw("the hosts"),
    "list_pools": _saw("the pools", "{group}"),
    "list_sessions": _saw("the sessions"),
    "list_tasks": _saw("the tasks", "{group}"),
    "list_trash": _saw("the trash"),
    "list_uploads": _saw("the uploads under way", "{group}"),
    "list_users": _saw("the users"),
    "list_vm_targets": _saw("the hosts that {vm} could move to"),
    "list_vms": _saw("the VMs", "{group}"),
    "openmetrics": _saw("the metrics for Prometheus"),
    "read_guest_file": _saw("a file in {vm}"),
    "read_log": _saw("the console log", "{vm}"),
    "search_screens": _saw("the text on screens"),
    "show_group": _saw("the members", "{group}"),
    "show_guest": _saw("what the guest agent reports", "{vm}"),
    "show_host": _saw("the host"),
    "show_medium": _saw("the details", "{medium}"),
    "show_node": _saw("{host}"),
    "show_quota": _saw("the quota", "{group}"),
    "show_screen": _saw("the screen", "{vm}"),
    "show_task": _saw("a task"),
    "show_user": _saw("the permissions", "{user}"),
    "show_vm": _saw("the settings", "{vm}"),
    "test_fence": _saw("whether {host} is on"),
    "vm_command": _saw("the command line of QEMU", "{vm}"),
    "vm_metrics": _saw("the metrics", "{vm}"),
    "vm_state": _saw("the state", "{vm}"),
    "vms_usage": _saw("the resource use of the VMs"),
    "watch_events": _saw("the stream of events"),
}
"""Operation -> its phrases; the last one always holds."""
