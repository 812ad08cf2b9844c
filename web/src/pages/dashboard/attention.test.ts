import { expect, test } from "vitest";
import type { Vm } from "@/api/live";
import type { HostInfo, HostPool, PoolInfo, TaskInfo } from "@/api/schema";
import { matters, NO_KVM } from "./attention";
import { arranged, ofDisk, ofQuota, ofUse, share } from "./poolUsage";

const vm: Vm = {
  vmid: 1,
  gid: 0,
  name: "web",
  cpus: 1,
  memory_mib: 512,
  state: "RUNNING",
  wanted: "RUNNING",
  autostart: false,
  displays: [],
  media: [],
  nics: [],
  waiting: [],
  revision: "r",
};
const pool: PoolInfo = {
  mpid: 1,
  name: "default",
  write: true,
  manage: true,
  quota: 100,
  used: 40,
  free: 500,
  revision: "r",
  state: "online",
  left: 60,
};
const disk: HostPool = {
  mpid: 1,
  name: "default",
  size: 100,
  free: 5,
  declared: 300,
  allocated: 50,
  state: "online",
};
const task: TaskInfo = {
  tid: 3,
  kind: "import",
  uid: 0,
  gid: 0,
  name: "x",
  state: "FAILED",
  done: 0,
  total: 0,
  unit: "bytes",
  begun: 1,
  message: "no image",
};

test("what runs as it should needs nobody", () => {
  expect(matters([vm, { ...vm, state: "STOPPED", wanted: "STOPPED" }], [{ ...task, state: "DONE" }], [])).toEqual([]);
});

test("a VM that should run and does not comes first, and can be started", () => {
  const missing: Vm = { ...vm, state: "STOPPED" };
  const [first, second] = matters([missing], [task], []);
  expect(first?.title).toBe("web should be running, but is not");
  expect(first?.start).toBe(missing);
  expect(second?.message).toBe("no image");
});

test("a VM that stands still says why; one that was paused on purpose does not", () => {
  const reason = { cause: "no-space", message: "Its disk is full.", since: 1 };
  expect(matters([{ ...vm, state: "PAUSED", reason }], [], [])[0]?.message).toBe("Its disk is full.");
  expect(matters([{ ...vm, state: "PAUSED", reason: { ...reason, cause: "asked" } }], [], [])).toEqual([]);
});

test("pools nearly full", () => {
  expect(matters([], [], [ofDisk(disk)])[0]?.title).toBe("Pool default is nearly full");
  expect(matters([], [], [ofDisk({ ...disk, free: 0 })])[0]?.danger).toBe(true);
  expect(matters([], [], [ofDisk({ ...disk, free: 50 })])).toEqual([]);
});

test("a pool that is away comes with its reason, whether its disk or a group's use of it is shown", () => {
  const away = { state: "away" as const, message: "pool 'default' is away", free: 0 };
  for (const room of [ofDisk({ ...disk, ...away, size: 0 }), ofUse({ ...pool, ...away }, 3, "team")]) {
    expect(room.words).toBe("Pool 'default' is away");
    expect(matters([], [], [room])).toMatchObject([{ danger: true, message: "Pool 'default' is away" }]);
  }
  expect(ofQuota({ ...pool, ...away }, 3, "team")?.words).toBe("Pool 'default' is away");
});

const HOST = {
  memory_mib: 1000,
  memory_free_mib: 500,
  cpus: 2,
  accelerator: "kvm",
  accelerator_reason: "",
} as HostInfo;
const DAY = 86_400;

test("a host whose clock is wrong, unless it does not respond anyway", () => {
  const vms = { total: 1, running: 1 };
  const b = { id: 2, name: "b", duty: "active" as const, vms, memory_mib: 1, memory_given_mib: 0, clock_ahead: -180 };
  const [matter] = matters([], [], [], { ...HOST, hosts: [b] });
  expect(matter?.title).toBe("The clock of host b is wrong");
  expect(matter?.message).toContain("It is 3 min behind the server's");
  expect(matter?.to).toBeUndefined();
  expect(matters([], [], [], { ...HOST, hosts: [b] }, (id) => `/hosts/${id}`)[0]?.to).toBe("/hosts/2");
  const silent = matters([], [], [], { ...HOST, hosts: [{ ...b, unreachable_since: 1 }] });
  expect(silent.map((one) => one.title)).toEqual(["Host b does not respond"]);
});

test("the host's memory and its CPUs", () => {
  expect(matters([], [], [], HOST)).toEqual([]);
  expect(matters([], [], [], { ...HOST, memory_free_mib: 10 })).toHaveLength(1);
  expect(matters([], [], [], { ...HOST, memory_free_mib: 100 })).toEqual([]);
  expect(matters([], [], [], { ...HOST, cpu_use: 96 })[0]?.title).toBe("The host's CPUs are busy");
  expect(matters([], [], [], { ...HOST, cpu_use: 90, load: [99, 99, 99] })).toEqual([]);
});

test("what is broken stands before what is slow", () => {
  const vms = { total: 0, running: 0 };
  const b = {
    id: 2,
    name: "b",
    duty: "active" as const,
    vms,
    memory_mib: 1,
    memory_given_mib: 0,
    unreachable_since: 1,
  };
  const slow = { ...HOST, accelerator: "tcg", accelerator_reason: "no /dev/kvm", cpu_use: 99, hosts: [b] };
  const all = matters([{ ...vm, state: "STOPPED" }], [task], [ofDisk({ ...disk, free: 0 })], slow);
  expect(all.map((one) => one.key)).toEqual([
    "host-2",
    "vm-1",
    expect.stringContaining("room-"),
    NO_KVM,
    "cpu",
    "task-3",
  ]);
  expect(all.map((one) => one.danger)).toEqual([true, true, true, false, false, false]);
});

test("a host that is silent is told once, before all that follows from it", () => {
  const [b, c] = [
    { id: 2, name: "b" },
    { id: 3, name: "c" },
  ];
  const given = { duty: "active" as const, memory_mib: 1, memory_given_mib: 1 };
  const hosts = [
    { ...b, ...given, vms: { running: 1, total: 1 }, unreachable_since: 900 },
    { ...c, ...given, vms: { running: 0, total: 0 } },
  ];
  const lost = { ...vm, unreachable_since: 900 };
  const away = { state: "away" as const, message: "host 'b' has not responded", free: 0 };
  const all = matters(
    [
      { ...lost, host: b },
      { ...lost, vmid: 2, host: c },
    ],
    [],
    [ofUse({ ...pool, ...away, host: b }, 0, "")],
    { ...HOST, hosts },
    undefined,
    1000,
  );
  expect(all.map((one) => one.key)).toEqual(["host-2", "vm-2"]);
  expect(all[0]?.message).toContain("Its VM may still be running: it is shown");
  const empty = { ...c, ...given, vms: { running: 0, total: 0 }, unreachable_since: 900 };
  const none = matters([], [], [], { ...HOST, hosts: [empty] }, undefined, 1000);
  expect(none[0]?.message).toMatch(/It has no VMs\.$/);
});

test("of a host that is confirmed dead nothing may still be running, and what should run is told for itself", () => {
  const vms = { running: 0, total: 1 };
  const b = { id: 2, name: "b", duty: "active" as const, vms, memory_mib: 1, memory_given_mib: 1 };
  const hosts = [{ ...b, unreachable_since: 900, dead_since: 940 }];
  const stopped = { ...vm, state: "STOPPED" as const, wanted: "RUNNING" as const, host: { id: 2, name: "b" } };
  const all = matters([stopped], [], [], { ...HOST, hosts }, undefined, 1000);
  expect(all.map((one) => [one.key, one.danger])).toEqual([
    ["host-2", false],
    ["vm-1", true],
  ]);
  expect(all[0]?.message).not.toContain("may still be running");
});

test("a certificate that ends is told two weeks before, and worse when it has ended", () => {
  const at = (days: number) =>
    matters([], [], [], { ...HOST, certificate_expires: 1000 + days * DAY }, undefined, 1000);
  expect(at(15)).toEqual([]);
  expect(at(3)).toMatchObject([{ danger: false, title: "The server's certificate expires in 3 d" }]);
  expect(at(0)).toMatchObject([{ danger: true, title: "The server's certificate has expired" }]);
});

test("what hurts most stands first: what should run, pools away, no KVM, what is filling, certificates, tasks", () => {
  const away = { state: "away" as const, message: "pool 'default' is away", free: 0 };
  const reason = { cause: "no-space", message: "Its disk is full.", since: 1 };
  const slow = { ...HOST, accelerator: "tcg", accelerator_reason: "this host has no /dev/kvm", memory_free_mib: 10 };
  const all = matters(
    [
      { ...vm, name: "halted", state: "PAUSED", reason },
      { ...vm, vmid: 2, state: "STOPPED" },
    ],
    [task],
    [ofDisk(disk), ofDisk({ ...disk, mpid: 2, name: "b", ...away, size: 0 })],
    { ...slow, certificate_expires: 1000 + DAY },
    undefined,
    1000,
  );
  expect(all.map((one) => one.key)).toEqual([
    "vm-2",
    "vm-1",
    "room-disk-2",
    "no-kvm",
    "room-disk-1",
    "certificate",
    "memory",
    "task-3",
  ]);
  expect(all.at(-1)?.to).toBe("/tasks?task=3"); // which is marked there
  const kvm = all.find((one) => one.key === NO_KVM);
  expect([kvm?.message, kvm?.dismiss]).toEqual([expect.stringContaining("This host has no /dev/kvm"), NO_KVM]);
});

test("a quota is as full as the tightest one above leaves it", () => {
  expect(share(ofQuota(pool, 3, "team") as never)).toBeCloseTo(0.4);
  expect(share(ofQuota({ ...pool, left: 0 }, 3, "team") as never)).toBe(1);
  expect(ofQuota({ ...pool, left: undefined }, 3, "team")).toBeUndefined();
  expect(share(ofUse({ ...pool, used: 0, free: 0 }, 0, "root group"))).toBe(0);
});

test("a disk is shown once, a quota where it was given", () => {
  const group = (gid: number, parent: number, pools: PoolInfo[]) => ({ gid, parent, path: `g${gid}`, pools });
  const rooms = arranged({ pools: [disk] }, [
    group(0, 0, [{ ...pool, quota: 0, left: undefined }]),
    group(1, 0, [pool]),
    group(2, 1, [{ ...pool, used: 3 }]),
    group(3, 1, [{ ...pool, quota: 20, used: 3, left: 17 }]),
  ]);
  expect(rooms.map((room) => room.key)).toEqual(["disk-1", "quota-1-1", "quota-3-1"]);
  expect(arranged(undefined, [group(0, 0, [{ ...pool, left: undefined }])])[0]?.key).toBe("use-0-1");
});
