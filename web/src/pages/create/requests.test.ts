import { expect, test } from "vitest";
import { proposed } from "./draft";
import { commandLines, createVm, fetchImage, makeDisk, shownVm } from "./requests";

const ISO = { mid: "iso-1", name: "debian 12.iso", gid: 0, isCdrom: true };
const DRAFT = { ...proposed(0, {}, undefined), mpid: 1, name: "web", diskName: "web-disk" };

test("an installation: an empty disk before the image", () => {
  expect(makeDisk(DRAFT, ISO)).toMatchObject({
    path: "/m/media/create",
    body: { size: 20 * 2 ** 30, name: "web-disk" },
  });
  expect(createVm(DRAFT, ISO, "disk-1").media).toEqual([
    { mid: "disk-1", mode: "BLOCK", readonly: false },
    { mid: "iso-1", mode: "VIRTIO", readonly: true },
  ]);
  expect(commandLines(DRAFT, ISO, "/", undefined)).toEqual([
    "velocity media create web-disk --size 20G",
    "velocity vm create web --cpus 2 --memory 2048M --display 1280x800 --media web-disk:block --media 'debian 12.iso:ro' --nic nat",
    "velocity vm start web",
  ]);
});

test("a disk image that is packed is imported, in the group's own words", () => {
  const draft = {
    ...DRAFT,
    gid: 4,
    mpid: 2,
    disk: "import" as const,
    format: "raw" as const,
    start: false,
    nic: "bridge:3",
  };
  const image = { mid: "q", name: "cloud.qcow2", gid: 4, isCdrom: false };
  expect(makeDisk(draft, image)).toMatchObject({ path: "/m/media/import", body: { mid: "q", gid: 4, mpid: 2 } });
  expect(createVm(draft, image, "d")).toMatchObject({
    media: [{ mid: "d", mode: "BLOCK" }],
    nics: [{ type: "BRIDGE", host: 3 }],
  });
  expect(commandLines(draft, image, "team/lab", "cloud.qcow2")).toEqual([
    "velocity media import cloud.qcow2 --name web-disk --format raw --group team/lab --pool id:2",
    "velocity vm create web --cpus 2 --memory 2048M --display 1280x800 --media web-disk:block --nic bridge:3 --group team/lab",
  ]);
});

test("an image of the catalogue is fetched for all VMs, and copied when it is there", () => {
  const image = {
    ...{ mid: undefined, name: "debian-13", gid: 0, isCdrom: false },
    fetch: { image: "debian-13", server: "a" },
  };
  const draft = { ...DRAFT, disk: "copy" as const, user: "debian" };
  expect(fetchImage(draft, image)).toMatchObject({ image: "debian-13", name: "debian-13", readonly: true, mpid: 1 });
  expect(makeDisk(draft, image)).toBeUndefined();
  expect(makeDisk(draft, { ...image, mid: "m" })).toMatchObject({ path: "/m/media/clone", body: { mid: "m" } });
  expect(commandLines(draft, image, "/", undefined).slice(0, 2)).toEqual([
    "velocity media fetch debian-13 --name debian-13 --readonly",
    "velocity media clone debian-13 web-disk",
  ]);
});

test("the medium itself, and what is not there yet", () => {
  const image = { mid: undefined, name: "a.img", gid: 0, isCdrom: false };
  expect(makeDisk({ ...DRAFT, disk: "copy" }, image)).toBeUndefined();
  expect(makeDisk({ ...DRAFT, disk: "itself" }, { ...image, mid: "m" })).toBeUndefined();
  expect(createVm({ ...DRAFT, disk: "itself" }, { ...image, mid: "m" }, undefined).media).toEqual([
    { mid: "m", mode: "BLOCK", readonly: false },
  ]);
});

test("a colon stands in the name of a disk as any other sign", () => {
  expect(commandLines({ ...DRAFT, diskName: "a:b" }, ISO, "/", undefined)[1]).toContain("--media a:b:block");
});

test("what a name would not name is named by its id, or with its group", () => {
  const lines = commandLines({ ...DRAFT, gid: 4 }, ISO, "team", undefined);
  expect(lines[1]).toContain("--media id:iso-1:ro");
  expect(commandLines({ ...DRAFT, name: "7" }, ISO, "/", undefined)[2]).toBe("velocity vm start 7 --group /");
});

test("who may log in goes to an image that is a disk, and a password's hash is shown nowhere", () => {
  const login = { user: " ann ", sshKeys: "# mine\nssh-ed25519 AAAA me\n\n", passwordHash: "$6$salt$SECRETSECRET" };
  const draft = { ...DRAFT, disk: "copy" as const, ...login };
  const body = createVm(draft, { ...ISO, isCdrom: false }, "d");
  const said = { user: "ann", ssh_keys: ["ssh-ed25519 AAAA me"] };
  expect(body.cloud_init).toEqual({ ...said, password_hash: "$6$salt$SECRETSECRET" });
  expect(shownVm(body).cloud_init).toMatchObject(said);
  const lines = commandLines(draft, { ...ISO, isCdrom: false }, "/", undefined).join("\n");
  expect(lines).toContain("--user ann --ssh-key 'ssh-ed25519 AAAA me' --password-hash");
  expect(lines + JSON.stringify(shownVm(body))).not.toContain("SECRET");
  expect(createVm(draft, ISO, "d").cloud_init).toBeUndefined();
  expect(createVm({ ...DRAFT, disk: "copy" }, { ...ISO, isCdrom: false }, "d").cloud_init).toBeUndefined();
});

test("ports lead to a NAT NIC, and to nothing else", () => {
  const draft = { ...DRAFT, disk: "none" as const, forwards: "2222:22 5353:53/udp", start: false };
  expect(createVm(draft, undefined, undefined).forwards).toHaveLength(2);
  expect(commandLines(draft, undefined, "/", undefined)).toEqual([
    "velocity vm create web --cpus 2 --memory 2048M --display 1280x800 --nic nat --forward 2222:22 --forward 5353:53/udp",
  ]);
  expect(createVm({ ...draft, nic: "none" }, undefined, undefined)).not.toHaveProperty("forwards");
  expect(commandLines({ ...draft, nic: "none" }, undefined, "/", undefined)[0]).not.toContain("--forward");
});

test("a disk that is made of an image is grown before a VM has it", () => {
  const draft = { ...DRAFT, disk: "copy" as const, grownSize: "10", start: false, nic: "none" };
  const image = { mid: "d", name: "debian-13", gid: 0, isCdrom: false };
  expect(commandLines(draft, image, "/", undefined).slice(0, 2)).toEqual([
    "velocity media clone debian-13 web-disk",
    "velocity media set web-disk --size 10G",
  ]);
  expect(commandLines({ ...draft, disk: "new" }, image, "/", undefined).join()).not.toContain("media set");
});
