import { expect, test } from "vitest";
import type { TaskInfo } from "@/api/schema";
import { cancelledWords, percent, progressWords, secondsLeft, titleOf, took } from "./words";

const task: TaskInfo = {
  tid: 1,
  kind: "import",
  uid: 0,
  gid: 0,
  name: "system",
  state: "RUNNING",
  done: 2 ** 30,
  total: 4 * 2 ** 30,
  unit: "bytes",
  begun: 1000,
};

test("a task says what it does, and what it did", () => {
  expect(titleOf(task)).toBe("Importing system");
  expect(titleOf({ ...task, state: "FAILED" })).toBe("Import of system");
  expect(titleOf({ ...task, kind: "clone" })).toBe("Cloning a medium as system");
  const emptying: TaskInfo = { ...task, kind: "empty", name: "trash", unit: "items", done: 3, total: 12 };
  expect(titleOf(emptying)).toBe("Emptying the trash");
  expect(progressWords({ ...emptying, done_bytes: 1 << 30, total_bytes: 4 * (1 << 30) }, 1000)).toBe(
    "3 of 12 items (1 GiB of 4 GiB)",
  );
});

test("how far it has come, and what is left by the speed so far", () => {
  expect(percent(task)).toBe(25);
  expect(secondsLeft(task, 1010)).toBe(30);
  expect(progressWords(task, 1010)).toBe("1 GiB of 4 GiB, about 30 s left");
});

test("nothing is guessed too early, or without an end in sight", () => {
  expect(secondsLeft(task, 1001)).toBeUndefined();
  expect(percent({ ...task, total: 0 })).toBeUndefined();
  expect(progressWords({ ...task, total: 0, done: 0 }, 1010)).toBe("started");
});

test("what it took is known in the end", () => {
  expect(took(task)).toBeUndefined();
  expect(took({ ...task, ended: 1090 })).toBe("2 min");
});

test("what was only to be changed is as it was", () => {
  expect(cancelledWords("move")).toContain("as it was");
  expect(cancelledWords("import")).toContain("Nothing");
});

test("a task that waits for a host says so, also before anything is known", () => {
  const waiting: TaskInfo = { ...task, phase: "waiting for host 'b'" };
  expect(progressWords(waiting, 1010)).toBe("Waiting for host 'b': 1 GiB of 4 GiB");
  expect(progressWords({ ...waiting, done: 0, total: 0 }, 1010)).toBe("Waiting for host 'b'");
});

test("a VM that moves says what is copied now, and no time, as each phase counts anew", () => {
  const moving: TaskInfo = { ...task, kind: "move_vm", name: "web", phase: "memory" };
  expect(titleOf(moving)).toBe("Moving the VM web");
  expect(progressWords(moving, 1010)).toBe("Copying memory: 1 GiB of 4 GiB");
  expect(cancelledWords("move_vm")).toContain("stays where it was");
  expect(titleOf({ ...task, kind: "drain", name: "a", state: "DONE" })).toBe("Draining of a");
});
