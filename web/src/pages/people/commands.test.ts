import { expect, test } from "vitest";
import { assignLine, groupWord, newName, ownOf, sizeWord, userWord } from "./commands";

test("names that read as an id or an option are replaced", () => {
  expect([userWord("anna", 3), userWord("17", 3), userWord("-x", 3)]).toEqual(["anna", "id:3", "id:3"]);
  expect([groupWord("team/web", 5), groupWord("/", 0), groupWord("group 9", 9)]).toEqual(["team/web", "/", "id:9"]);
  expect(newName("-x")).toEqual(["--", "-x"]);
});

test("sizes lose nothing", () => {
  expect([sizeWord(200 * 2 ** 30), sizeWord(1536 * 2 ** 20), sizeWord(1000), sizeWord(0)]).toEqual([
    "200G",
    "1536M",
    "1000",
    "0",
  ]);
});

test("what is assigned and stays is not named again", () => {
  const now = { quota: 2 ** 30, write: true, manage: true };
  const line = (share: typeof now, before?: typeof now) => assignLine(1, "red", share, before).slice(5).join(" ");
  expect(line(now)).toBe("--quota 1G --write --manage");
  expect(line(now, now)).toBe("");
  expect(line({ ...now, quota: 0 }, now)).toBe("--quota none");
  expect(line({ ...now, write: false, manage: false }, now)).toBe("--no-write --no-manage");
});

test("what a group inherits is not what is assigned to it", () => {
  const pool = {
    mpid: 1,
    name: "default",
    used: 0,
    free: 1,
    state: "online" as const,
    revision: "r",
    quota: 5,
    write: true,
    manage: false,
  };
  expect(ownOf(pool)).toEqual({ quota: 0, write: true, manage: false });
  expect(ownOf({ ...pool, assigned: { quota: 7, write: true, manage: true } }).quota).toBe(7);
  expect(ownOf(undefined)).toEqual({ quota: 0, write: false, manage: false });
});
