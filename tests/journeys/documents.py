"""What documents say, typed on hosts of a test's own: only places, and what starts a server, are others."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.journeys.server import Server

DOCUMENTS = Path(__file__).parents[2] / "docs"
SERVICE = re.compile(r"systemctl (start|stop|restart) velocity")
KEPT = re.compile(r"export .*|\w+=.*")
"""Lines that hold for those behind them, also after the service was asked something."""


def blocks(name: str, heading: str, language: str = "sh") -> list[str]:
    """The code blocks below that heading, up to the next one."""
    text = (DOCUMENTS / name).read_text()
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^##+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"docs/{name} has no heading {heading!r}"
    made = re.findall(rf"```{language}\n(.*?)```", found[1], re.DOTALL)
    assert made, f"docs/{name} has no block of {language} below {heading!r}"
    return made


class Site:
    """A host: a settings file, a data directory, and a server that reads both."""

    def __init__(self, place: Path, runtime: Path, *within: str) -> None:
        self.data, self.config = place / "data", place / "velocity.toml"
        place.mkdir()
        self.server = Server(self.data, within=within, config=str(self.config))
        self.places: dict[str, str] = {"/etc/velocity.toml": str(self.config), "/var/lib/velocity": str(self.data)}
        self.config.write_text(
            f'listen = "127.0.0.1:{self.server.port}"\ndata_dir = "{self.data}"\nruntime_dir = "{runtime}"\n'
        )

    def type(self, block: str, **others: str) -> str:
        """The lines of a block; what they say. `others`: what stands in a place's stead, for this block."""
        kept, waiting, said = [], [], ""
        for line in replaced(block, self.places | others).splitlines():
            if KEPT.fullmatch(line):
                kept.append(line)
            if not (asked := SERVICE.fullmatch(line)):
                waiting.append(line)
                continue
            said += self._shell(waiting)
            waiting = [*kept]
            if asked[1] != "start":
                self.server.end()
            if asked[1] != "stop":
                self.server.start()
        return said + self._shell(waiting)

    def refused(self, line: str) -> str:
        """What a command says that fails."""
        done = self._run([line])
        assert done.returncode != 0, done.stdout
        return done.stderr

    def _shell(self, lines: list[str]) -> str:
        done = self._run(lines)
        assert done.returncode == 0, (lines, done.stdout, done.stderr, self.server.process and self.server.log())
        return done.stdout + done.stderr

    def _run(self, lines: list[str]) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VELOCITY_")}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        environment |= {"HOME": str(self.data.parent), "VELOCITY_CONFIG": str(self.config)}
        command = ["bash", "-euc", "\n".join(lines)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def replaced(text: str, others: Mapping[str, str]) -> str:
    for written, meant in others.items():
        text = text.replace(written, meant)
    return text


def other_firmware(place: Path) -> list[str]:
    """The words that run a command on a host whose one firmware is the smaller build of the package."""
    place.mkdir()
    files = {"executable": "OVMF_CODE.fd", "nvram-template": "OVMF_VARS.fd"}
    named = {what: {"filename": f"/usr/share/OVMF/{file}", "format": "raw"} for what, file in files.items()}
    described = {
        "description": "another build",
        "interface-types": ["uefi"],
        "features": [],
        "targets": [{"architecture": "x86_64", "machines": ["pc-q35-*"]}],
        "mapping": {"device": "flash", **named},
    }
    (place / "10-other.json").write_text(json.dumps(described))
    script = f'mount --bind {shlex.quote(str(place))} /usr/share/qemu/firmware && exec "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
