"""What `make dist` builds: the Debian package has what the server needs, and the page."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.patience import PATIENCE

ROOT = Path(__file__).parents[2]


def needed(name: str, extra: str = "") -> set[str]:
    """The packages that one needs, and those that they need."""
    found: set[str] = set()
    try:
        wanted = [Requirement(one) for one in requires(name) or ()]
    except PackageNotFoundError:  # another system's
        return found
    for one in wanted:
        if one.marker is None or one.marker.evaluate({"extra": extra}):
            found |= {one.name.lower()}
            for inner in one.extras or {""}:
                found |= needed(one.name, inner)
    return found


@pytest.mark.holds("CLI-7")
@pytest.mark.whole
def test_the_debian_package_serves_and_has_the_page(tmp_path: Path, whole: bool) -> None:
    """The short form: what is left out of it is what only builds."""
    script = (ROOT / "scripts" / "deb").read_text()
    (left_out,) = re.findall(r"^only_builds='([\w|-]+)'$", script, re.M)
    assert set(left_out.split("|")).isdisjoint(needed("velocity"))
    subprocess.run(["bash", "-n", ROOT / "scripts" / "deb"], check=True)
    if whole:
        build(tmp_path)


def build(place: Path) -> None:
    wheel = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
    subprocess.run(wheel, cwd=ROOT, check=True, capture_output=True)
    subprocess.run([ROOT / "scripts" / "deb", place], check=True, capture_output=True)
    (package,) = place.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", package, place / "root"], check=True)
    root = place / "root"
    assert (root / "usr/lib/velocity/velocity/api/static/index.html").is_file()
    for unit in ("velocity.service", "velocity-guests.service"):
        assert "=/usr/bin/velocity serv" in (root / "usr/lib/systemd/system" / unit).read_text()
    command = (root / "usr/bin/velocity").read_text().replace("/usr/lib", f"{root}/usr/lib")
    said = subprocess.run(
        [sys.executable, "-I", "-c", command, "serve", "--help"], check=True, capture_output=True, text=True
    )
    assert "Start the server" in said.stdout


@pytest.mark.holds("CLI-7")
def test_what_runs_does_without_a_page_that_cannot_be_built_and_says_so(tmp_path: Path) -> None:
    """As where there is no npm, or its registry is out of reach. Whoever asks for the page alone is refused."""
    for name in ("scripts/setup", "scripts/node", "requirements/run.txt", "pyproject.toml", "web/package.json",
                 "web/package-lock.json", "docs/reference/openapi.json"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    made = tmp_path / ".venv"
    (made / "bin").mkdir(parents=True)
    (made / "lib" / "python3").mkdir(parents=True)
    (made / "bin" / "python").symlink_to(sys.executable)
    stamp = (ROOT / "requirements" / "run.txt").read_bytes() + (ROOT / "pyproject.toml").read_bytes()
    (made / ".velocity-run").write_bytes(stamp)

    def setup(what: str) -> subprocess.CompletedProcess[str]:
        words = [str(tmp_path / "scripts" / "setup"), what]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE)

    (tmp_path / "src" / "velocity" / "api").mkdir(parents=True)
    served = setup("run")
    assert served.returncode == 0, served.stderr
    assert "serves its API and the command line only" in served.stdout
    refused = setup("web")
    assert refused.returncode == 1
    assert "web page's packages could not be fetched" in refused.stderr
