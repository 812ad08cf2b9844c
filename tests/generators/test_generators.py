"""Clients that are generated from the OpenAPI document walk the main path; the hypervisor is the fake one."""

from __future__ import annotations

import importlib
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.api.world import PASSWORD
from tests.host import Host
from tests.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
STRICT = {
    "strict": True, "noUncheckedIndexedAccess": True, "exactOptionalPropertyTypes": True, "noEmit": True,
    "target": "ES2022", "module": "ESNext", "moduleResolution": "bundler", "lib": ["ES2023", "DOM", "DOM.Iterable"],
    "skipLibCheck": True, "allowImportingTsExtensions": True, "types": [],
}  # fmt: skip


def run(*words: str | Path, cwd: Path) -> str:
    done = subprocess.run([*map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def node(*words: str | Path) -> str:
    """With the Node.js that builds the page, in web/."""
    return run(ROOT / "scripts/node", *words, cwd=ROOT)


def configuration() -> str:
    """The one that the documentation gives for openapi-python-client."""
    (found,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/generated-clients.md").read_text(), re.DOTALL)
    return str(found)


@pytest.mark.holds("API-12")
def test_openapi_typescript_makes_a_client_that_walks_the_main_path(host: Host, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(ROOT / "web/node_modules")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "tsconfig.json").write_text(json.dumps({"compilerOptions": STRICT, "files": ["walk.ts"]}))
    shutil.copy(HERE / "walk.ts", tmp_path)
    node("node_modules/.bin/openapi-typescript", f"{host.url}/openapi.json", "--output", tmp_path / "schema.ts")
    node("node_modules/.bin/tsc", "--project", tmp_path)
    assert "the main path is walked" in node("node", tmp_path / "walk.ts", host.url, PASSWORD)


@pytest.mark.holds("API-12")
def test_openapi_python_client_makes_a_client_that_walks_the_main_path(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.yaml").write_text(f"{configuration()}post_hooks: []\n")
    words = ("generate", "--url", f"{host.url}/openapi.json", "--config", "config.yaml", "--meta", "none")
    said = run(
        Path(sys.executable).with_name("openapi-python-client"), *words, "--output-path", "generated", cwd=tmp_path
    )
    assert "WARNING" not in said.upper(), "nothing of the document is left out"
    monkeypatch.syspath_prepend(str(tmp_path))
    walk(host.url)


class Api:
    """The functions of the generated package, by the names of the operations."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.models = importlib.import_module("generated.models")
        self.types = importlib.import_module("generated.types")

    def call(self, area: str, name: str, **arguments: Any) -> Any:
        module = importlib.import_module(f"generated.api.{area}.{name}")
        answer = module.sync_detailed(client=self.client, **arguments)
        assert answer.status_code == 200, answer
        assert answer.parsed is not None, (name, "its answer is not in the generated client")
        return answer.parsed


def walk(url: str) -> None:
    package = importlib.import_module("generated")
    models = importlib.import_module("generated.models")
    with package.Client(url) as client:
        begun = Api(client).call("u", "sign_in", body=models.SignIn(name="root", password=PASSWORD))
    with package.AuthenticatedClient(url, begun.authkey, raise_on_unexpected_status=True) as client:
        walk_on(Api(client))


def walk_on(api: Api) -> None:
    models = api.models
    disk = api.call("m", "create_medium", body=models.CreateMedium(mpid=1, gid=0, name="py disk", size=1 << 20))
    iso = api.call(
        "m", "upload_medium", body=api.types.File(io.BytesIO(b"bytes of a medium")), x_velocity_mpid=1,
        x_velocity_gid=0, x_velocity_name="py iso", x_velocity_type="ISO",
        x_velocity_readonly=models.UploadMediumXVelocityReadonly.TRUE,
    )  # fmt: skip
    assert (type(iso), iso.size) == (models.MediumCreated, 17)
    wanted = models.CreateVm(
        name="py", gid=0, cpus=1, memory_mib=64,
        displays=[models.DisplayInput(name="main", width=640, height=480, ppi=None)],
        media=[models.AttachmentInput(mid=disk.mid, mode=models.AttachmentInputMode.BLOCK),
               models.AttachmentInput(mid=iso.mid, mode=models.AttachmentInputMode.USB, readonly=True)],
        nics=[models.NicInput(type_=models.NicInputType.NAT, host=None)],
    )  # fmt: skip
    wanted.plan = True
    planned = api.call("v", "create_vm", body=wanted)
    assert [(one.do.value, one.kind.value, one.name) for one in planned.steps] == [("create", "vm", "py")]
    wanted.plan = api.types.UNSET
    vmid = api.call("v", "create_vm", body=wanted, idempotency_key="py 1").vmid
    assert api.call("v", "create_vm", body=wanted, idempotency_key="py 1").vmid == vmid, "carried out once"
    shown = api.call("v", "show_vm", body=models.VmRequest(vmid=vmid))
    assert (shown.state, shown.displays[0].ppi, len(shown.media)) == (models.State.STOPPED, 96, 2)
    for state in ("RUNNING", "PAUSED", "RUNNING"):
        set_state = models.SetState(vmid=vmid, state=models.SetStateState(state))
        assert api.call("v", "set_vm_state", body=set_state).state == models.State(state)
    assert api.call("v", "vm_state", body=models.StateRequest(vmid=vmid)).state == models.State.RUNNING
    assert api.call("v", "alter_vm", body=models.AlterVm(vmid=vmid, notes="by Python")).vmid == vmid
    stopped = models.SetState(vmid=vmid, state=models.SetStateState.STOPPED, force=True)
    assert api.call("v", "set_vm_state", body=stopped).state == models.State.STOPPED
    missing = importlib.import_module("generated.api.v.show_vm").sync(
        client=api.client, body=models.VmRequest(vmid=999)
    )
    assert (type(missing), missing.code) == (models.Error, 16110)
    api.call("v", "delete_vm", body=models.DeleteVm(vmid=vmid, purge=True))
    for medium in (disk, iso):
        api.call("m", "delete_medium", body=models.DeleteMedium(mid=medium.mid, purge=True))
    assert api.call("v", "list_vms", body=models.ListVms(gid=0)).vms == []
    api.call("u", "sign_out", body=models.Change())
