"""The peer of files over HTTP: nginx, with its WebDAV PUT into a directory and the same directory's files.

https://nginx.org/en/docs/http/ngx_http_dav_module.html
"""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType

from bench.harness import Absent, install
from bench.server import free_port

CONFIG = """\
daemon off;
user root;
worker_processes 1;
pid {home}/pid;
error_log {home}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  client_body_temp_path {home}/coming;
  client_max_body_size 0;
  server {{
    listen 127.0.0.1:{port};
    location / {{ root {home}/files; dav_methods PUT DELETE; }}
  }}
}}
"""


class Nginx:
    """One worker, as there is one server of ours. `files` is what it serves. Raises `Absent` where it cannot run."""

    def __init__(self, home: Path) -> None:
        if not shutil.which("nginx"):
            install("nginx-light")
        self.port = free_port()
        self.files = home / "files"
        self.files.mkdir(parents=True)
        config = home / "nginx.conf"
        config.write_text(CONFIG.format(home=home, port=self.port))
        self._log = home / "error.log"
        self._process = subprocess.Popen(["nginx", "-c", str(config), "-e", str(self._log)])
        said = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
        self.version = said.strip().rpartition("/")[2]

    def __enter__(self) -> Nginx:
        end = time.monotonic() + 10
        while not self._children():
            if self._process.poll() is not None or time.monotonic() > end:
                raise Absent(f"nginx does not start: {self._log.read_text().strip()[-300:]}")
            time.sleep(0.02)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(20)

    @property
    def pid(self) -> int:
        """Of the worker."""
        return int(self._children()[0])

    def _children(self) -> list[str]:
        return Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
