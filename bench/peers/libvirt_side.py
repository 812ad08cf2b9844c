"""The half of `libvirt.py` that runs under the distribution's Python, in a mount namespace of its own.

libvirtd finds empty directories where its state would be, and a configuration without security driver, cgroups and
virtlogd: what remains is what it needs for a start.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import libvirt

HOME = Path(sys.argv[1])
SOCKET = "/run/libvirt/libvirt-sock"
OVER = ("/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt", "/run")
USER = {"/etc/passwd": "libvirt-qemu:x:64055:64055::/:/bin/false\n", "/etc/group": "libvirt-qemu:x:64055:\n"}
CONFIG = """\
user = "root"
group = "root"
security_driver = "none"
dynamic_ownership = 0
remember_owner = 0
stdio_handler = "file"
cgroup_controllers = []
namespaces = []
"""
DOMAIN = """\
<domain type="qemu"><name>{name}</name><memory unit="MiB">256</memory><vcpu>1</vcpu>
<os><type arch="x86_64" machine="q35">hvm</type>
<loader readonly="yes" type="pflash">/usr/share/OVMF/OVMF_CODE_4M.fd</loader><nvram>{home}/{name}.fd</nvram></os>
<features><acpi/></features><cpu mode="maximum"/>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type="file" device="disk"><driver name="qemu" type="raw"/><source file="{home}/{name}.raw"/>
<target dev="vda" bus="virtio"/></disk>
<interface type="user"><model type="virtio"/></interface>
<controller type="usb" model="none"/><video><model type="none"/></video>
<memballoon model="virtio" freePageReporting="on"/><panic model="isa"/>
<rng model="virtio"><backend model="builtin"/></rng>
<channel type="unix"><target type="virtio" name="org.qemu.guest_agent.0"/></channel>
{ports}</devices></domain>"""
"""The devices are Velocity's; each of those on PCI is behind a root port of its own, as libvirt has it."""
PORTS = "".join(f'<controller type="pci" index="{number}" model="pcie-root-port"/>' for number in range(1, 7))
PORTS += '<controller type="pci" index="7" model="pcie-to-pci-bridge"/>'
"""A bridge with spare slots in the last of six, beside those of the five devices."""


class Side:
    def __init__(self):
        for directory in OVER:
            Path(directory).mkdir(parents=True, exist_ok=True)
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", directory], check=True)
        Path("/etc/libvirt/qemu.conf").write_text(CONFIG)
        Path("/etc/libvirt/libvirtd.conf").write_text('unix_sock_rw_perms = "0700"\nauth_unix_rw = "none"\n')
        for file, line in USER.items():  # it wants to know this name, whatever user it is told to use
            known = HOME / Path(file).name
            known.write_text(Path(file).read_text() + line)
            subprocess.run(["mount", "--bind", str(known), file], check=True)
        self.daemon = None
        self.connection = None
        self.launch()

    def launch(self):
        """Seconds from the start of the daemon to the first full list."""
        begun = time.perf_counter()
        log = (HOME / "libvirtd.log").open("ab")
        self.daemon = subprocess.Popen(["libvirtd", "--timeout", "0"], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        while True:
            try:
                self.connection = libvirt.open("qemu+unix:///system?socket=" + SOCKET)
                self.connection.listAllDomains()
                return time.perf_counter() - begun
            except libvirt.libvirtError:
                if self.daemon.poll() is not None or time.perf_counter() - begun > 60:
                    raise
                time.sleep(0.005)

    def hello(self):
        number = self.connection.getLibVersion()
        return {"version": f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"}

    def define(self, name, files=True):
        if files:
            with open(HOME / f"{name}.raw", "wb") as disk:
                disk.truncate(64 << 20)
            shutil.copyfile("/usr/share/OVMF/OVMF_VARS_4M.fd", HOME / f"{name}.fd")
        text = DOMAIN.format(name=name, home=HOME, ports=PORTS)
        return self.took(lambda: self.connection.defineXML(text))

    def define_many(self, first, last):
        def work():
            for number in range(first, last):
                self.connection.defineXML(DOMAIN.format(name=f"vm{number}", home=HOME, ports=PORTS))

        return self.took(work)

    def copies(self, name, count):
        """So many more domains like that one, as they lie on the disk once each is defined: that alone takes minutes.

        The daemon knows them from its next launch on.
        """
        place = Path("/etc/libvirt/qemu")
        text = (place / f"{name}.xml").read_text()
        uuid = self.connection.lookupByName(name).UUIDString()
        for number in range(count):
            other = text.replace(uuid, str(uuid4())).replace(f"<name>{name}<", f"<name>vm{number}<")
            (place / f"vm{number}.xml").write_text(other)

    def start(self, name):
        domain = self.connection.lookupByName(name)
        return self.took(domain.create)

    def virsh(self, verb, name):
        command = ["virsh", "--connect", "qemu+unix:///system?socket=" + SOCKET, verb, name]
        return self.took(lambda: subprocess.run(command, check=True, capture_output=True))

    def start_many(self, names, width=8):
        """They stand before their first instruction then."""
        domains = [self.connection.lookupByName(name) for name in names]

        def work():
            waiting = iter(domains)
            lock = threading.Lock()

            def one():
                connection = libvirt.open("qemu+unix:///system?socket=" + SOCKET)
                while True:
                    with lock:
                        domain = next(waiting, None)
                    if domain is None:
                        break
                    connection.lookupByName(domain.name()).createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
                connection.close()

            threads = [threading.Thread(target=one) for _ in range(width)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        return self.took(work)

    def destroy(self, name):
        domain = self.connection.lookupByName(name)
        return self.took(domain.destroy)

    def destroy_all(self):
        def work():
            domains = self.connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(libvirt.virDomain.destroy, domains))

        return self.took(work)

    def suspend(self, name):
        return self.took(self.connection.lookupByName(name).suspend)

    def resume(self, name):
        return self.took(self.connection.lookupByName(name).resume)

    def state(self, name):
        return self.took(self.connection.lookupByName(name).state)

    def list(self):
        """The best form that it has for a list with states."""
        flags = libvirt.VIR_DOMAIN_STATS_STATE
        return self.took(lambda: self.connection.getAllDomainStats(flags))

    def relaunch(self):
        self.connection.close()
        self.daemon.terminate()
        self.daemon.wait(30)
        return {"ms": self.launch() * 1000, "count": len(self.connection.listAllDomains())}

    def memory(self, field):
        for line in Path(f"/proc/{self.daemon.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(field + ":"):
                return {"mib": int(line.split()[1]) / 1024}
        return {}

    @staticmethod
    def took(work):
        begun = time.perf_counter()
        work()
        return {"ms": (time.perf_counter() - begun) * 1000}

    def end(self):
        self.destroy_all()
        self.connection.close()
        self.daemon.terminate()
        self.daemon.wait(30)
        return {}


def main():
    libvirt.registerErrorHandler(lambda *_: None, None)
    side = Side()
    for line in sys.stdin:
        asked = json.loads(line)
        what = asked.pop("do")
        try:
            answer = getattr(side, what)(**asked) or {}
        except (libvirt.libvirtError, OSError, subprocess.SubprocessError) as error:
            answer = {"error": str(error)}
        sys.stdout.write(json.dumps({"ok": True, **answer}) + "\n")
        sys.stdout.flush()
        if what == "end":
            break
    if side.daemon.poll() is None:
        os.kill(side.daemon.pid, 15)


if __name__ == "__main__":
    main()
