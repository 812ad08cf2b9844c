import { expect, test } from "vitest";
import { proposed } from "./draft";
import { factsOf } from "./facts";

const DRAFT = { ...proposed(0, {}, undefined), mpid: 1, name: "web", diskName: "web-disk" };
const PLACES = { group: "/", pool: undefined, host: undefined, nic: undefined };
const ISO = { mid: "iso", name: "debian.iso", gid: 0, isCdrom: true, size: 700 * 2 ** 20 };
const DISK = { mid: "disk", name: "cloud.raw", gid: 0, isCdrom: false, size: 3 * 2 ** 30 };

test("an installation says how large all of it is", () => {
  expect(factsOf({ ...DRAFT, autostart: true }, ISO, PLACES)).toEqual([
    ["Name", "web"],
    ["Group", "/"],
    ["CPUs", "2"],
    ["Memory", "2 GiB"],
    ["Disk", "web-disk, 20 GiB, empty"],
    ["CD-ROM", "debian.iso"],
    ["Display", "1280×800"],
    ["Network", "NAT"],
    ["Starts with the server", "Yes"],
  ]);
});

test("a disk is as large as its image, or as it is grown to; of what is packed the size is not known", () => {
  const disk = (change: object) => new Map(factsOf({ ...DRAFT, ...change }, DISK, PLACES)).get("Disk");
  expect(disk({ disk: "copy" })).toBe("web-disk, 3 GiB, a copy of cloud.raw");
  expect(disk({ disk: "copy", grownSize: "10" })).toBe("web-disk, 10 GiB, a copy of cloud.raw");
  expect(disk({ disk: "import" })).toBe("web-disk, made from cloud.raw");
  expect(disk({ disk: "import", grownSize: "10" })).toBe("web-disk, 10 GiB, made from cloud.raw");
  expect(disk({ disk: "itself" })).toBe("cloud.raw, 3 GiB");
  expect(disk({ disk: "none" })).toBe("None");
});

test("where it is, and how it is reached", () => {
  const draft = { ...DRAFT, disk: "copy" as const, user: "ann", forwards: "2222:22", display: "none" };
  const facts = new Map(factsOf(draft, DISK, { group: "team", pool: "fast", host: "b", nic: undefined }));
  expect(facts.get("Disk")).toContain("in the pool fast");
  expect([facts.get("Host"), facts.get("User"), facts.get("Port forwards"), facts.get("Display")]).toEqual([
    "b",
    "ann",
    "2222:22",
    "None: serial console only",
  ]);
  const bridged = new Map(factsOf({ ...draft, nic: "bridge:3" }, DISK, { ...PLACES, nic: "eth0: LAN" }));
  expect([bridged.get("Network"), bridged.get("Port forwards")]).toEqual(["Bridge: eth0: LAN", undefined]);
});
