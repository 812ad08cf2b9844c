"""The server as it is installed: its units, a certificate that is renewed, and a wheel outside the checkout."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import signal
import ssl
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509

from tests.host import Host
from tests.journeys.conftest import StartServer
from tests.journeys.server import Server
from tests.patience import at_last
from velocity.cli import own_server, stop_guests
from velocity.cli.main import velocity

ROOT = Path(__file__).parents[2]
VELOCITY = Path(sys.executable).with_name("velocity")


def units(*words: str) -> dict[str, configparser.ConfigParser]:
    done = CliRunner().invoke(velocity, ["service", "install", *words])
    assert done.exit_code == 0, (done.output, done.exception)
    place = Path(words[words.index("--directory") + 1])
    found = {}
    for file in place.iterdir():
        parsed = configparser.ConfigParser(strict=False, interpolation=None)
        parsed.optionxform = str  # type: ignore[assignment,method-assign]
        parsed.read_string(file.read_text())
        found[file.name] = parsed
    return found


def test_the_units(tmp_path: Path) -> None:
    config = tmp_path / "velocity.toml"
    config.write_text('listen = "127.0.0.1:8091"\n')
    found = units("--config", str(config), "--directory", str(tmp_path / "units"))
    server, guests = found["velocity.service"], found["velocity-guests.service"]
    assert server["Service"]["KillMode"] == "process"
    assert server["Service"]["ExecStart"].endswith(f"serve --config {config}")
    assert server["Install"]["WantedBy"] == "multi-user.target"
    assert guests["Unit"]["After"] == guests["Unit"]["Wants"] == "velocity.service"
    assert not {"Requires", "BindsTo", "PartOf"} & set(guests["Unit"]), "a restart of the server would stop the guests"
    assert "stop-guests --timeout 90" in guests["Service"]["ExecStop"]
    most = 90 + stop_guests.ANSWER + 2 * stop_guests.ENDING
    assert int(guests["Service"]["TimeoutStopSec"]) > most, "systemd kills it no sooner than it ends by itself"
    removed = CliRunner().invoke(velocity, ["service", "uninstall", "--directory", str(tmp_path / "units")])
    assert removed.exit_code == 0 and "systemctl stop velocity.service" in removed.stdout
    assert list((tmp_path / "units").iterdir()) == []
    again = CliRunner().invoke(velocity, ["service", "uninstall", "--directory", str(tmp_path / "units")])
    assert (again.exit_code, again.stdout) == (0, "")
    assert f"there are no units of Velocity in {tmp_path}/units" in again.stderr


def test_the_units_open_what_of_ours_lies_in_read_only_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VELOCITY_DATA_DIR", "/usr/local/my velocity")
    monkeypatch.setenv("VELOCITY_POOLS", '[{mpid=1, name="a", path="/etc/p"}, {mpid=2, name="b", path="/srv/p"}]')
    printed = CliRunner().invoke(velocity, ["service", "install", "--print"]).output
    opened = [line for line in printed.splitlines() if line.startswith("ReadWritePaths=")]
    forwarding = "ReadWritePaths=-/proc/sys/net"
    assert opened == [forwarding, 'ReadWritePaths="/usr/local/my velocity"', "ReadWritePaths=/etc/p"]
    assert not Path("/usr/local/my velocity").exists(), "it is only printed"


@pytest.mark.parametrize(
    ("database", "words"),
    [
        ("postgresql://velo:hun/ter2@db.example/velo", "in the password, write @ : / # ? % as %40"),
        ("postgresql://velo:hun%2Fter2@db.example/velo", "VELOCITY_DATABASE has a password"),
        ("postgresql:///velo?password=hunter2", "VELOCITY_DATABASE has a password"),
        ("mysql://velo@db.example/velo", "set it to postgresql://user:password@host:port/name"),
    ],
)
def test_no_unit_has_a_password_of_the_database_or_a_url_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database: str, words: str
) -> None:
    monkeypatch.setenv("VELOCITY_DATABASE", database)
    refused = CliRunner().invoke(velocity, ["service", "install", "--directory", str(tmp_path / "units")])
    assert refused.exit_code == 1
    assert words in refused.output
    assert "ter2" not in refused.output
    assert not (tmp_path / "units").exists()


@pytest.mark.holds("ISOLATION-8")
def test_the_units_leave_the_processes_little(tmp_path: Path) -> None:
    """By systemd's own measure, 0 to 10, whose lines docs/security.md goes through."""
    found = units("--directory", str(tmp_path))
    assert found["velocity.service"]["Service"]["OOMPolicy"] == "continue"
    assert int(found["velocity.service"]["Service"]["OOMScoreAdjust"]) < 0
    for name, most in (("velocity.service", 5.5), ("velocity-guests.service", 3.0)):
        said = subprocess.run(
            ["systemd-analyze", "security", "--offline=true", "--no-pager", str(tmp_path / name)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        exposed = re.search(r"Overall exposure level for \S+: ([\d.]+)", said.stdout)
        assert exposed is not None, said.stderr
        assert float(exposed[1]) <= most, said.stdout
        checked = subprocess.run(
            ["systemd-analyze", "verify", str(tmp_path / name)], capture_output=True, text=True, check=False
        )
        assert not [line for line in checked.stderr.splitlines() if str(tmp_path) in line], checked.stderr


def test_guests_are_asked_to_stop_the_youngest_first(host: Host) -> None:
    for name in ("old", "young"):
        host.ok("vm", "create", name, "--memory", "64M")
        host.ok("vm", "start", name)
    asked = host.run("service", "stop-guests").stderr
    assert asked.index("young") < asked.index("old")
    assert "RUNNING" not in host.ok("vm", "list")
    host.hypervisor.faults.deaf = True
    host.ok("vm", "start", "old")
    assert "did not shut down" in host.run("service", "stop-guests", "--timeout", "0.5").stderr
    assert "RUNNING" not in host.ok("vm", "list")


@pytest.mark.holds("GUEST-5")
def test_the_guests_unit_reaches_the_server_of_its_settings(host: Host, tmp_path: Path) -> None:
    """With the unit's own environment, whatever the settings say, and whatever server root is signed in to."""
    place = tmp_path / 'a "strange" 100% place'
    place.mkdir()
    config = place / "velocity.toml"
    config.write_text(f'listen = "{host.settings.listen}"\ndata_dir = "{host.data}"\n')
    for words, environment in ((["--config", str(config)], {}), ([], {"VELOCITY_CONFIG": str(config)})):
        done = subprocess.run(
            [VELOCITY, "service", "install", "--print", *words], capture_output=True, text=True, check=True,
            env={"PATH": os.environ["PATH"], **environment},
        )  # fmt: skip
        unit = done.stdout.partition("# velocity-guests.service")[2].replace("%%", "%").splitlines()
        stop = shlex.split(next(line for line in unit if line.startswith("ExecStop=")).removeprefix("ExecStop="))
        own = shlex.split(" ".join(one.removeprefix("Environment=") for one in unit if one.startswith("Environment=")))
        kept = tmp_path / "home" / ".config" / "velocity" / "session.json"
        kept.parent.mkdir(parents=True, exist_ok=True)
        elsewhere = {"last": "http://127.0.0.1:9", "authkeys": {host.url: "none"}, "names": {host.url: "bob"}}
        kept.write_text(json.dumps(elsewhere))
        host.ok("vm", "create", "web", "--memory", "64M")
        host.ok("vm", "start", "web")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path / "home"),
            **dict(one.split("=") for one in own),
        }
        ended = subprocess.run(stop, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert (ended.returncode, ended.stderr) == (0, "asked web to shut down\n")
        assert "RUNNING" not in host.ok("vm", "list")
        host.ok("vm", "rm", "web")


def certificate(directory: Path, name: str, days: int = 1) -> None:
    """The server's certificate, anew."""
    directory.mkdir(exist_ok=True)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", str(days), "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")],
        check=True, capture_output=True,
    )  # fmt: skip


def expiry(directory: Path) -> int:
    """Of the server's certificate, in Unix seconds."""
    return int(x509.load_pem_x509_certificate((directory / "cert.pem").read_bytes()).not_valid_after_utc.timestamp())


@pytest.mark.holds("GUEST-6")
@pytest.mark.guest
def test_a_certificate_is_renewed_without_a_restart(start_server: StartServer, tmp_path: Path) -> None:
    certificate(tmp_path, "first")
    server = start_server(tls_cert=str(tmp_path / "cert.pem"), tls_key=str(tmp_path / "key.pem"))
    process = server.process
    assert process is not None

    def shown() -> str:
        return ssl.get_server_certificate(("127.0.0.1", server.port))

    first = shown()
    assert first.strip() == (tmp_path / "cert.pem").read_text().strip()
    (tmp_path / "cert.pem").write_text("no certificate")
    process.send_signal(signal.SIGHUP)
    at_last(lambda: "not renewed" in server.log(), "the refusal")
    assert shown() == first, "a wrong one changes nothing"
    certificate(tmp_path, "second", days=2)
    process.send_signal(signal.SIGHUP)
    at_last(lambda: shown() != first, "the renewal")
    assert shown().strip() == (tmp_path / "cert.pem").read_text().strip()
    assert server.ok("POST", "/h/host")["certificate_expires"] == expiry(tmp_path), "of the one that is served"
    check_own_server_is_known(server, tmp_path)


def check_own_server_is_known(server: Server, place: Path) -> None:
    """On the server's host the command line needs no certificate; where the server's notes are missing, as those of an
    earlier version are, it knows it by its very certificate: by no other, and under whatever name."""
    own = {"VELOCITY_LISTEN": f"localhost:{server.port}", "VELOCITY_DATA_DIR": str(server.data),
           "VELOCITY_TLS_CERT": str(place / "cert.pem"), "VELOCITY_TLS_KEY": str(place / "key.pem")}  # fmt: skip
    environment = {"PATH": os.environ["PATH"], "HOME": str(place), **own}

    def ask(**more: str) -> subprocess.CompletedProcess[str]:
        words = [str(VELOCITY), "service", "stop-guests", "--timeout", "0"]
        every = environment | more
        return subprocess.run(words, env=every, capture_output=True, text=True, timeout=60, check=False)

    certificate(place / "other", "other")
    other = str(place / "other" / "cert.pem")
    assert ask(VELOCITY_TLS_CERT=other).returncode == 0
    for name in (own_server.SOCKET, own_server.ADDRESS):
        (server.data / name).unlink()
    known = ask()
    assert known.returncode == 0, known.stderr
    refused = ask(VELOCITY_TLS_CERT=other)
    assert refused.returncode == 6
    assert "certificate" in refused.stderr


@pytest.mark.guest
def test_the_wheel_serves_outside_the_checkout(
    start_server: StartServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "installed"))
    monkeypatch.chdir(tmp_path)
    where = subprocess.run(
        [sys.executable, "-c", "import velocity; print(velocity.__file__)"], capture_output=True, text=True, check=True
    )
    assert str(tmp_path) in where.stdout, "the checkout's own is not what runs"
    server = start_server()
    vmid = server.ok("PUT", "/v/vm/efi", name="vm", gid=0, cpus=1, memory_mib=64)["vmid"]
    server.ok("PUT", "/v/vm/state", vmid=vmid, state="PAUSED")
