"""Reasons for refusals, by name: areas raise them, and only the contract knows their numbers."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import contextmanager


class Problem(enum.Enum):
    """Why a request was refused. Each operation maps those that it can meet to its own status and code."""

    # Every operation can meet these; their numbers are the contract's "Conventions".
    MALFORMED = "malformed"
    UNAUTHENTICATED = "unauthenticated"
    FOREIGN_PAGE = "not from our page"
    NO_SUCH_ROUTE = "no such route"
    METHOD_NOT_ALLOWED = "method not allowed"
    TOO_SLOW = "too slow"
    BODY_TOO_LARGE = "body too large"
    HEAD_TOO_LARGE = "head too large"
    TOO_MANY_ATTEMPTS = "too many attempts"
    UNAVAILABLE = "unavailable"
    OLD_REVISION = "changed meanwhile"
    REPEATED = "idempotency key used before"

    NO_PERMISSION = "no permission"

    WRONG_CREDENTIALS = "wrong name or password"
    UNKNOWN_AUTHKEY = "unknown authkey"
    EXPIRED_AUTHKEY = "expired authkey"
    SESSION_NOT_FOUND = "session not found"

    USER_NOT_FOUND = "user not found"
    USER_NAME_TAKEN = "user name taken"
    GROUP_NOT_FOUND = "group not found"
    GROUP_NAME_TAKEN = "group name taken"
    PERMISSION_NOT_FOUND = "permission not found"
    OPERATION_NOT_FOUND = "operation not found"
    PERMISSION_NOT_HELD = "permission not held"
    USER_STAYS = "user stays"
    GRANT_STAYS = "grant stays"
    GROUP_TOO_DEEP = "group too deep"
    TOO_MANY_GROUPS = "too many groups"
    TOO_MANY_USERS = "too many users"
    GROUP_STAYS = "group stays"
    GROUP_BUSY = "group busy"
    GROUP_MEDIUM_ATTACHED = "a medium of the group is attached elsewhere"
    QUOTA_ABOVE = "quota above an ancestor's"

    POOL_NOT_FOUND = "pool not found"
    POOL_NOT_MANAGED = "pool not managed"
    POOL_QUOTA = "pool quota"
    POOL_AWAY = "pool away"
    POOL_OF_ROOT = "pool of the root group"
    MEDIUM_NOT_FOUND = "medium not found"
    MEDIUM_NAME_TAKEN = "medium name taken"
    MEDIUM_ATTACHED = "medium attached"
    MEDIUM_IN_USE = "medium in use"
    MEDIUM_SIZE = "not a size for the medium"
    NO_LENGTH = "no length"
    NO_AUTHKEY = "no authkey"
    NO_MPID = "no mpid"
    NO_GID = "no gid"
    NO_NAME = "no name"
    NO_TYPE = "no type"
    NO_READONLY = "no readonly"
    MORE_THAN_PROMISED = "more bytes than promised"
    NOT_AN_IMAGE = "not an image that can be imported"
    UPLOAD_OFFSET = "wrong upload offset"
    UPLOAD_ENDED = "the upload was ended"
    WRONG_CHECKSUM = "wrong checksum"

    TASK_NOT_FOUND = "task not found"
    TRASH_NOT_FOUND = "not in the trash"

    VM_NOT_FOUND = "vm not found"
    VM_NAME_TAKEN = "vm name taken"
    VM_NOT_STOPPED = "vm not stopped"
    VM_STOPPED = "vm stopped"
    VM_MOVING = "vm on its way to another host"
    CPU_LIMIT = "cpu limit"
    MEMORY_LIMIT = "memory limit"
    VM_QUOTA = "vm quota"
    MEDIA_MODE = "media mode"
    NIC_TYPE = "nic type"
    BRIDGE_WITHOUT_HOST = "bridge without host"
    NIC_NOT_FOUND = "nic not found"
    NOT_OF_THIS_HOST = "not of this host"
    NO_HOST = "no host"
    HOST_NOT_FOUND = "host not found"
    INTERFACE_NOT_FOUND = "interface not found"
    MAC_TAKEN = "mac address taken"
    PORT_TAKEN = "port of the host taken"
    PORT_NOT_ALLOWED = "port of the host not allowed"
    NO_NAT_NIC = "no NAT NIC"
    DISPLAY_NAME_TAKEN = "display name taken"
    DISPLAY_NOT_FOUND = "display not found"
    NO_READER = "nothing reads screens"
    NOT_FROM_THIS_STATE = "not possible from this state"
    NOT_A_STATE = "not a state to request"
    MEMORY_SHORT = "memory short"
    HYPERVISOR = "hypervisor"
    NO_AGENT = "no guest agent"
    AGENT_REFUSED = "refused by the guest agent"

    NODE_NAME_TAKEN = "host name taken"
    NODE_OWN = "the server's own host"
    NO_COPIES = "no copies of the database"
    NODE_BUSY = "host has vms"
    NODE_KNOWN = "host known"
    NODE_ANSWERS = "host answers"
    NODE_NAME_OTHER = "host has another name"
    FENCE_AGENT = "fence agent"
    FENCE_OPTION = "fence option"
    NO_FENCE = "no fence agent"
    NOT_FENCED = "not fenced"
    NO_BLOCKLIST = "no blocklist"
    TOKEN_REFUSED = "token refused"  # noqa: S105 - a problem
    TOO_MANY_TOKENS = "too many tokens"
    NOT_A_CERTIFICATE_REQUEST = "not a certificate request"


class Refused(Exception):
    """A request was refused and has changed nothing. The message names the cure.

    `field` is the field of the request that is at fault, if there is one.
    """

    def __init__(self, problem: Problem, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.problem = problem
        self.message = message
        self.field = field


class OutcomeUnknown(Exception):
    """The response to a commit was lost, so it is unknown whether the change was made.

    Not a subclass of `Refused`, which would mean that nothing has changed.
    """

    message = (
        "the database's answer was lost, so it is not known yet whether the change was made: check the object, or "
        "repeat the request with the same Idempotency-Key"
    )


@contextmanager
def done_before(words: str) -> Iterator[None]:
    """Within, a database that does not respond is told with these words: what was done is not told as nothing."""
    try:
        yield
    except Refused as refused:
        if refused.problem is not Problem.UNAVAILABLE:
            raise
        raise Refused(Problem.UNAVAILABLE, f"the database does not respond: {words}") from None
