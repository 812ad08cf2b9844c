import { expect, test } from "vitest";
import type { PoolInfo } from "@/api/schema";
import { DISK_HELP } from "@/ui/amounts";
import {
  checksumProblem,
  fetched,
  freeName,
  growProblem,
  mediumNameProblem,
  roomProblem,
  roomWords,
  sizeProblem,
  stem,
  urlProblem,
} from "./rules";

const pool: PoolInfo = {
  mpid: 1,
  name: "default",
  write: true,
  manage: true,
  quota: 100,
  used: 40,
  free: 50,
  state: "online",
  revision: "r",
  left: 60,
};

test("a name that is not taken, and as the server takes it", () => {
  const taken = new Set(["disk"]);
  expect(mediumNameProblem("disk", taken)).toContain("with that name");
  expect(mediumNameProblem("disk 2", taken)).toBeUndefined();
  expect(mediumNameProblem("a\u0007", taken)).toContain("printable");
});

test("a size is at least a byte", () => {
  expect(sizeProblem(undefined)).toBe(DISK_HELP);
  expect(sizeProblem(0)).toContain("one byte");
  expect(sizeProblem(1)).toBeUndefined();
  expect(sizeProblem(2 ** 60)).toContain("too large");
});

test("the quota counts what is declared; the disk what is written", () => {
  const red = { path: "red", ask: "For more, ask root." };
  expect(roomProblem(pool, 55, red)).toBeUndefined();
  expect(roomProblem(pool, 55, red, { written: true })).toContain("50 B free");
  expect(roomProblem(pool, 61, red, { more: true })).toBe(
    "The quota of a group above red has 60 B left in pool default; this needs 61 B more. For more, ask root.",
  );
  expect(roomProblem({ ...pool, left: undefined }, 61, red)).toBeUndefined();
  expect(roomWords({ ...pool, left: undefined })).toBe("50 B free in the pool");
});

test("names that are offered", () => {
  expect(freeName("disk", new Set(["disk", "disk 2"]))).toBe("disk 3");
  expect(stem("appliance.raw.xz")).toBe("appliance");
  expect(stem(".xz")).toBe(".xz");
});

test("a disk can only grow", () => {
  expect(growProblem(undefined, 10)).toBe(DISK_HELP);
  expect(growProblem(10, 10)).toContain("can only grow");
  expect(growProblem(11, 10)).toBeUndefined();
});

test("what is fetched is named by the file of its URL", () => {
  expect(fetched("https://a.example/x/debian%2012.qcow2.xz?key=1")).toEqual({
    name: "debian 12.qcow2.xz",
    stem: "debian 12",
    type: "DISK",
    isImage: true,
  });
  expect(fetched("https://a.example/install.iso")).toMatchObject({ name: "install.iso", type: "ISO", isImage: false });
  expect(fetched("no url").name).toBe("");
});

test("an address that can be fetched from", () => {
  expect(urlProblem("https://a.example/disk", false)).toBeUndefined();
  expect(urlProblem("http://a.example/disk", false)).toContain("SHA-256");
  expect(urlProblem("http://a.example/disk", true)).toBeUndefined();
  expect(urlProblem("ftp://a.example/disk", true)).toContain("whole address");
  expect(checksumProblem("abc")).toContain("64 digits");
  expect(checksumProblem("")).toBeUndefined();
});
