import { expect, it } from "vitest";
import { memoryMib } from "@/ui/amounts";
import {
  bodyOf,
  changesOf,
  cliOf,
  differences,
  draftOf,
  memoryText,
  moved,
  problemsOf,
  rebased,
  type Settings,
} from "./draft";
import { nicsOf, nicText } from "./nicText";

const BASE: Settings = {
  name: "web",
  cpus: 2,
  memory_mib: 2048,
  displays: [{ name: "main", width: 1280, height: 720, ppi: 96 }],
  drives: [],
  media: [
    { mid: "a", mode: "BLOCK", readonly: false },
    { mid: "b", mode: "VIRTIO", readonly: true },
  ],
  nics: [{ type: "NAT" }],
  forwards: [],
  autostart: false,
  spread: "",
  together: "",
  ha: "off",
  start_order: 0,
  host_labels: [],
  input: "virtio",
  cpu: "best",
  rosetta: false,
  balloon: true,
  max_cpus: 0,
  max_memory_mib: 0,
  notes: "",
  cloud_init: { secrets: [] },
};

it("memory is read as people write it, and written whole", () => {
  expect([memoryText(2048), memoryText(1536)]).toEqual(["2 GiB", "1536 MiB"]);
  expect(["2 GiB", "2g", "512", "1.5 GiB", "512M"].map(memoryMib)).toEqual([2048, 2048, 512, 1536, 512]);
  expect(["", "0", "x", "1 KiB", "-1"].map(memoryMib)).toEqual([undefined, undefined, undefined, undefined, undefined]);
});

it("only what differs is sent, and a default is no difference", () => {
  expect(changesOf(BASE, draftOf(BASE))).toEqual({});
  const displays = [{ name: "main", width: 1280, height: 720 }] as Settings["displays"];
  expect(changesOf(BASE, { ...draftOf(BASE), displays, memory: "2048" })).toEqual({});
  expect(changesOf(BASE, { ...draftOf(BASE), cpus: 4, memory: "3 GiB" })).toEqual({ cpus: 4, memory_mib: 3072 });
});

it("ports of the host are checked, compared and written as on the command line", () => {
  const ssh = { host_port: 2222, guest_port: 22, protocol: "tcp" } as const;
  const dns = { host_port: 5353, guest_port: 53, protocol: "udp", host_address: "127.0.0.1" } as const;
  const forwards = [ssh, dns];
  expect(changesOf({ ...BASE, forwards }, { ...draftOf(BASE), forwards: [{ ...ssh }, dns] })).toEqual({});
  const vm = { name: "web", gid: 0, vmid: 7 };
  expect(cliOf(vm, changesOf(BASE, { ...draftOf(BASE), forwards }))?.slice(4)).toEqual([
    "--forward",
    "2222:22",
    "--forward",
    "127.0.0.1:5353:53/udp",
  ]);
  expect(problemsOf({ ...draftOf(BASE), forwards: [{ ...ssh, host_port: Number.NaN }] })).toHaveProperty([
    "forwards[0].host_port",
  ]);
  expect(problemsOf({ ...draftOf(BASE), nics: [], forwards })).toHaveProperty("forwards");
});

it("another order of the media is a change: it is the boot order", () => {
  const media = moved(BASE.media, 1, -1);
  expect(media.map((one) => one.mid)).toEqual(["b", "a"]);
  expect(changesOf(BASE, { ...draftOf(BASE), media })).toEqual({ media });
});

it("a NIC is known by its id: which of two that are alike is removed makes the change", () => {
  const interfaces = [
    { id: 1, mac: "52:54:00:00:00:01" },
    { id: 4, mac: "52:54:00:00:00:04" },
  ];
  const nics = nicsOf({ nics: [{ type: "NAT" }, { type: "NAT" }], interfaces });
  const base = { ...BASE, nics };
  expect(changesOf(base, draftOf(base))).toEqual({});
  expect(changesOf(base, { ...draftOf(base), nics: nics.slice(1) })).toEqual({ nics: [{ type: "NAT", id: 4 }] });
  expect(nics.map((one) => nicText(one, interfaces))).toEqual(["NAT (52:54:00:00:00:01)", "NAT (52:54:00:00:00:04)"]);
  expect(nicText({ type: "BRIDGE", host: 5 }, interfaces)).toBe("bridge on host NIC 5 (new)");
});

it("what somebody else has changed is taken over, and the own changes stay", () => {
  const now = { ...BASE, name: "site", cpus: 8 };
  const draft = { ...draftOf(BASE), cpus: 4 };
  expect(Object.keys(differences(BASE, now))).toEqual(["name", "cpus"]);
  const after = rebased(BASE, draft, now);
  expect(after).toMatchObject({ name: "site", cpus: 4 });
  expect(changesOf(now, after)).toEqual({ cpus: 4 });
});

it("what is wrong is told at its field, as the server names it", () => {
  expect(problemsOf(draftOf(BASE))).toEqual({});
  const one = { name: "main", width: 0, height: 9000, ppi: 96 };
  const draft = {
    ...draftOf(BASE),
    name: " ",
    cpus: 0,
    memory: "much",
    displays: [one, one],
    nics: [{ type: "BRIDGE" as const }],
    notes: "ä".repeat(4097),
  };
  expect(Object.keys(problemsOf(draft)).sort()).toEqual(
    [
      "name",
      "cpus",
      "memory_mib",
      "displays[0].width",
      "displays[0].height",
      "displays[1].name",
      "displays[1].width",
      "displays[1].height",
      "nics[0].host",
      "notes",
    ].sort(),
  );
});

it("the command line gives lists whole, and is absent where it has no option", () => {
  const vm = { name: "web", gid: 3, vmid: 9 };
  expect(cliOf(vm, { spread: "web", together: "shop", host_labels: ["disk=ssd"] })?.join(" ")).toBe(
    "velocity vm set web --spread web --together shop --host-label disk=ssd --group id:3",
  );
  expect(cliOf(vm, { start_order: 3 })?.join(" ")).toBe("velocity vm set web --start-order 3 --group id:3");
  expect(cliOf(vm, { media: BASE.media, nics: [] })?.join(" ")).toBe(
    "velocity vm set web --media a:block --media b:virtio:ro --nic none --group id:3",
  );
  const nics: Settings["nics"] = [
    { type: "NAT" },
    { type: "BRIDGE", host: 2 },
    { type: "BRIDGE", host: 3, trusted: true },
  ];
  expect(cliOf({ name: "web", gid: 0, vmid: 9 }, { nics })?.join(" ")).toBe(
    "velocity vm set web --nic nat --nic bridge:2 --nic bridge:3:trusted",
  );
  const known: Settings["nics"] = [
    { type: "NAT", id: 3 },
    { type: "BRIDGE", host: 2, id: 1, mac: "02:00:00:00:00:0a" },
  ];
  expect(cliOf({ name: "web", gid: 0, vmid: 9 }, { nics: known })?.join(" ")).toBe(
    "velocity vm set web --nic nat:id=3 --nic bridge:2:id=1:mac=02:00:00:00:00:0a",
  );
  expect(cliOf({ name: "web", gid: 0, vmid: 9 }, { cpus: 4, autostart: true })?.join(" ")).toBe(
    "velocity vm set web --cpus 4 --autostart",
  );
  expect(cliOf({ name: "7", gid: 0, vmid: 9 }, { cpus: 4 })?.join(" ")).toBe("velocity vm set id:9 --cpus 4");
  expect(cliOf(vm, { notes: "" })).toEqual(["velocity", "vm", "set", "web", "--notes", "", "--group", "id:3"]);
  expect(cliOf(vm, { rosetta: true })).toBeUndefined();
});

it("what is set of a disk beside its mode stays, differs and stands in the command", () => {
  const [disk, iso] = BASE.media;
  const base: Settings = {
    ...BASE,
    media: [
      { ...disk, sector_size: 4096, limits: { iops: 500 } } as (typeof BASE.media)[0],
      iso as (typeof BASE.media)[0],
    ],
  };
  const draft = draftOf(base);
  expect(changesOf(base, draft)).toEqual({});
  const media = draft.media.map((one, index) => (index === 0 ? { ...one, cache: "none" as const } : one));
  const changes = changesOf(base, { ...draft, media });
  expect(changes.media?.[0]).toMatchObject({ cache: "none", sector_size: 4096, limits: { iops: 500 } });
  expect(cliOf({ name: "web", gid: 0, vmid: 7 }, changes)?.join(" ")).toContain(
    "a:block:cache=none:sector-size=4096:iops=500",
  );
  for (const part of [{ detect_zeroes: true }, { limits: { read_bytes: 512 } }, { sector_size: 512 as const }])
    expect(
      Object.keys(changesOf(base, { ...draft, media: draft.media.map((one, at) => (at ? one : { ...one, ...part })) })),
    ).toEqual(["media"]);
});

it("what is set for cloud-init is changed field by field, and what is secret is sent only when it was typed", () => {
  const base: Settings = { ...BASE, cloud_init: { user: "ann", ssh_keys: [], secrets: ["password_hash"] } };
  const same = { user: "ann", hostname: "", secrets: ["password_hash"] };
  expect(changesOf(base, { ...draftOf(base), cloud_init: same })).toEqual({});
  const typed = { ...same, user: "", password_hash: "$6$salt$SECRETSECRET", secrets: ["password_hash"] };
  const changes = changesOf(base, { ...draftOf(base), cloud_init: typed, new_instance: true });
  const rest = { ssh_keys: [], hostname: "", packages: [], timezone: "" };
  expect(bodyOf(changes)).toEqual({
    new_instance: true,
    cloud_init: { user: "", password_hash: "$6$salt$SECRETSECRET", ...rest },
  });
  expect(JSON.stringify(bodyOf(changes, true))).not.toContain("SECRET");
  expect(cliOf({ name: "web", gid: 0, vmid: 1 }, changes)).toBeUndefined();
  expect(bodyOf(changesOf(base, { ...draftOf(base), cloud_init: { ...same, password_hash: "" } }))).toEqual({
    cloud_init: { user: "ann", password_hash: "", ...rest },
  });
  expect(
    Object.keys(problemsOf({ ...draftOf(base), cloud_init: { ...same, user: "A b", password_hash: "x" } })),
  ).toEqual(["cloud_init.user", "cloud_init.password_hash"]);
});

it("a maximum is a number or none, and at least what the VM has", () => {
  const draft = draftOf({ ...BASE, max_cpus: 4, max_memory_mib: 4096 });
  expect(draft.maxMemory).toBe("4 GiB");
  expect(changesOf(BASE, draft)).toEqual({ max_cpus: 4, max_memory_mib: 4096 });
  expect(changesOf(BASE, { ...draft, max_cpus: 0, maxMemory: " " })).toEqual({});
  expect(problemsOf(draft)).toEqual({});
  expect(Object.keys(problemsOf({ ...draft, max_cpus: 1, maxMemory: "1 GiB" }))).toEqual([
    "max_cpus",
    "max_memory_mib",
  ]);
  expect(Object.keys(problemsOf({ ...draft, maxMemory: "x" }))).toEqual(["max_memory_mib"]);
  expect(cliOf({ name: "web", gid: 0, vmid: 7 }, { max_cpus: 4, max_memory_mib: 0 })?.slice(-4)).toEqual([
    ...["--max-cpus", "4", "--max-memory", "0M"],
  ]);
});

it("a cable that is out is a change, and one that is in is none", () => {
  const nics: Settings["nics"] = [{ type: "NAT", link: "up" }];
  expect(changesOf(BASE, { ...draftOf(BASE), nics })).toEqual({});
  const out: Settings["nics"] = [{ type: "NAT", link: "down" }];
  expect(changesOf(BASE, { ...draftOf(BASE), nics: out })).toEqual({ nics: out });
  expect(nicText({ type: "NAT", link: "down" }, [])).toBe("NAT, unplugged (new)");
});
