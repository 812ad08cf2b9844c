"""Load on an HTTP server, from wrk: https://github.com/wg/wrk"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from typing import NamedTuple

from bench.harness import cpu_seconds, install

NUMBER = "@"
"""In a field: another number in each request."""
SCRIPT = """\
wrk.method = "{method}"
wrk.body = {body}
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = {key}
local number = 0
local function numbered()
  number = number + 1
  return wrk.format(nil, nil, nil, (wrk.body:gsub("{NUMBER}", number)))
end
if wrk.body:find("{NUMBER}") then request = numbered end
done = function(summary, latency)
  local failed = 0
  for _, count in pairs(summary.errors) do failed = failed + count end
  io.write(string.format("%d %d %d %f %f\\n", summary.requests, summary.duration, failed,
    latency:percentile(50), latency:percentile(99)))
end
"""


class Load(NamedTuple):
    """What came of it: requests a second, microseconds of the server's CPU a request, milliseconds an answer took.

    `requests` is how many there were.
    """

    rate: float
    cpu: float
    p50: float
    p99: float
    requests: int


def load(
    port: int, pid: int, path: str, *, connections: int, seconds: float, method: str = "POST", key: str = "",
    **fields: object,
) -> Load:  # fmt: skip
    """Ask the same again and again, each connection as soon as it has its answer."""
    if not shutil.which("wrk"):
        install("wrk")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        body, bearer = json.dumps(json.dumps(fields)), json.dumps(f"Bearer {key}")
        script.write(SCRIPT.format(method=method, body=body, key=bearer, NUMBER=NUMBER))
        script.flush()
        before = cpu_seconds(pid)
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "-s", script.name, f"http://127.0.0.1:{port}{path}"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        used = cpu_seconds(pid) - before
    requests, duration, failed, p50, p99 = (float(word) for word in done.stdout.splitlines()[-1].split())
    if failed or not requests:
        raise RuntimeError(f"{path}: {failed:.0f} requests failed, {requests:.0f} did not: {done.stdout}")
    return Load(requests / duration * 1e6, used / requests * 1e6, p50 / 1000, p99 / 1000, int(requests))
