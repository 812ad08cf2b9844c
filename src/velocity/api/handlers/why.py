"""Route 20."""

from velocity.api.handlers.base import Call, handles
from velocity.contract import why


@handles(why.EXPLAIN)
async def explain(call: Call[why.Explain]) -> why.Explanation:
    return call.services.access.why.explain(call.caller, call.request)
