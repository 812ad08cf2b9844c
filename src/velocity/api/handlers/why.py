"""Explanations of permission decisions."""

from velocity.access.why import PermissionExplainer
from velocity.api.handlers.base import Call, handles
from velocity.contract import why


@handles(why.EXPLAIN)
async def explain(call: Call[why.Explain]) -> why.Explanation:
    return PermissionExplainer(call.services.access).explain(call.caller, call.request)
