import { expect, test } from "vitest";
import { DISK_HELP, MEMORY_HELP } from "@/ui/amounts";
import { FORWARDS_HELP } from "@/ui/forwards";
import { type Draft, grownSize, problems, proposed, roleOf, roleOfFile, sizeOf, suggestName } from "./draft";

const NONE: ReadonlySet<string> = new Set();
const RED = { path: "red", ask: "For more, ask root." };
const KNOWN = { asking: RED, vms: NONE, media: NONE };
const draft = (change: Partial<Draft> = {}): Draft => ({
  ...proposed(0, {}, undefined),
  name: "web",
  diskName: "web-disk",
  ...change,
});

test("a name is made of the image's", () => {
  expect(suggestName("debian-12.5.0-amd64-netinst.iso", NONE)).toBe("debian-12.5");
  expect(suggestName("Fedora Server 40.iso", NONE)).toBe("fedora");
  expect(suggestName("ubuntu24.04.img.xz", NONE)).toBe("ubuntu-24.04");
  expect(suggestName("alpine.iso", new Set(["alpine", "alpine-2"]))).toBe("alpine-3");
  expect(suggestName(undefined, NONE)).toBe("vm");
  expect(suggestName("日本.iso", NONE)).toBe("日本");
});

test("what is proposed fits into what is left, also when others take some of it meanwhile", () => {
  const small = proposed(3, { cpus: 1, memory_mib: 700 }, 5 * 2 ** 30);
  expect(small).toMatchObject({ cpus: "1", memory: "700 MiB", diskSize: "2 GiB" });
  expect(proposed(0, {}, undefined)).toMatchObject({ cpus: "2", memory: "2 GiB", diskSize: "20 GiB", format: "qcow2" });
});

test("a bare number is taken at its field for what it says there", () => {
  expect(problems(draft({ memory: "512", diskSize: "1" }), KNOWN)).toEqual({});
  expect(problems(draft({ memory: "0", diskSize: "much" }), KNOWN)).toEqual({
    memory: MEMORY_HELP,
    diskSize: DISK_HELP,
  });
});

test("a sound draft has no problem", () => expect(problems(draft(), KNOWN)).toEqual({}));

test("each limit is told at its field", () => {
  const bad = draft({ name: "  ", cpus: "3", memory: "4G", diskSize: "9 GiB", display: "9000x1" });
  const known = {
    quota: {
      ...RED,
      limits: { cpus: 4 },
      usage: { cpus: 2, memory_mib: 0, vms: 2 },
      left: { cpus: 2, memory_mib: 1024 },
    },
    full: "team has 2 of 2 VMs",
    pool: { name: "default", left: 2 ** 30 },
    asking: RED,
    vms: NONE,
    media: new Set(["web-disk"]),
  };
  expect(Object.keys(problems(bad, known)).sort()).toEqual([
    "cpus",
    "diskName",
    "diskSize",
    "display",
    "gid",
    "memory",
    "name",
  ]);
  expect(problems(bad, known)).toMatchObject({
    cpus: "The quota of red has 2 CPUs left; this needs 3 CPUs. For more, ask root.",
    memory: "The quota of a group above red has 1 GiB left; this needs 4 GiB. For more, ask root.",
    diskSize: "The quota of a group above red has 1 GiB left in pool default; this needs 9 GiB. For more, ask root.",
  });
  expect(problems(draft({ disk: "none", diskName: "", diskSize: "" }), KNOWN)).toEqual({});
});

test("what an image can be", () => {
  expect(roleOfFile("A.ISO")).toBe("cdrom");
  expect(roleOfFile("cloud.qcow2")).toBe("packed");
  expect(roleOfFile("appliance.ova")).toBe("packed");
  expect(roleOfFile("openwrt.img.gz")).toBe("packed");
  expect(roleOfFile("disk.img")).toBe("disk");
  expect(roleOf({ type: "DISK", format: "raw", content: { format: "iso9660" } })).toBe("cdrom");
  expect(roleOf({ type: "DISK", format: "raw", content: { format: "vmdk" } })).toBe("packed");
  expect(roleOf({ type: "DISK", format: "qcow2", content: { format: "qcow2" } })).toBe("disk");
});

test("displays are width and height", () => {
  expect(sizeOf("1920 × 1080")).toEqual({ width: 1920, height: 1080 });
  expect(sizeOf("0x5")).toBeUndefined();
});

test("an image is grown, and never cut", () => {
  const copy = { disk: "copy" as const };
  expect(problems(draft({ ...copy, grownSize: "" }), KNOWN)).toEqual({});
  expect(problems(draft({ ...copy, grownSize: "3" }), { ...KNOWN, imageSize: 2 * 2 ** 30 })).toEqual({});
  expect(Object.keys(problems(draft({ ...copy, grownSize: "1" }), { ...KNOWN, imageSize: 2 * 2 ** 30 }))).toEqual([
    "grownSize",
  ]);
  expect(problems(draft({ disk: "new", grownSize: "much" }), KNOWN)).toEqual({});
  expect(grownSize(draft({ ...copy, grownSize: "3" }))).toBe(3 * 2 ** 30);
  expect(grownSize(draft({ ...copy, grownSize: " " }))).toBeUndefined();
});

test("what is no port forward is told at its field, where there is a NIC that it would lead to", () => {
  expect(problems(draft({ forwards: "22" }), KNOWN)).toEqual({ forwards: FORWARDS_HELP });
  expect(problems(draft({ forwards: "22", nic: "none" }), KNOWN)).toEqual({});
});
