import { expect, test } from "vitest";
import type { NodeInfo, TaskInfo } from "@/api/schema";
import {
  changesOf,
  editCli,
  fenceCli,
  fenceOptions,
  hostLabels,
  hostStatus,
  hostWord,
  lastDrain,
  namesOf,
  newcomer,
} from "./words";

const host = (more: Partial<NodeInfo>): NodeInfo => ({
  host: 2,
  name: "b",
  own: false,
  state: "online",
  duty: "active",
  labels: {},
  vms: 0,
  cpus_given: 0,
  memory_given_mib: 0,
  pools: [],
  nics: [],
  ...more,
});

test("what a host is wanted for counts only while it answers", () => {
  expect(hostStatus(host({}))).toEqual({ tone: "ok", word: "Online" });
  expect(hostStatus(host({ duty: "draining" }))).toEqual({ tone: "warn", word: "Draining" });
  expect(hostStatus(host({ duty: "draining", state: "unreachable" }))).toEqual({ tone: "bad", word: "Unreachable" });
  expect(hostStatus(host({ state: "joining" }))).toEqual({ tone: "busy", word: "Joining" });
});

test("a host that is confirmed dead is nothing else, whatever it is wanted for", () => {
  expect(hostStatus(host({ state: "dead", duty: "draining" }))).toEqual({ tone: "bad", word: "Confirmed dead" });
});

test("options of a fence agent are lines, and a secret is on no command line", () => {
  expect(fenceOptions("ip = 192.0.2.9\n\npassword=a = b\n")).toEqual([
    { ip: "192.0.2.9", password: "a = b" },
    undefined,
  ]);
  expect(fenceOptions("ip")[1]).toBe("Write “ip” as name=value.");
  expect(fenceCli(host({}), "fence_x", { ip: "1", password: "p" }).join(" ")).toBe(
    "velocity node fence b --agent fence_x --option ip=1 --option password",
  );
  expect(fenceCli(host({}), "fence_x", { hexadecimal_kg: "00ff" }).join(" ")).not.toContain("00ff");
});

test("labels are lines, and the command line sets those that are new and clears those that are gone", () => {
  expect(hostLabels("disk=ssd\ngpu=\n")).toEqual([{ disk: "ssd", gpu: "" }, undefined]);
  expect(hostLabels("-disk=ssd")[1]).toBe("Write “-disk=ssd” as name=value.");
  const labels = { disk: "ssd", rack: "b" };
  expect(editCli(host({ labels: { disk: "ssd", rack: "a", old: "1" } }), { labels })?.join(" ")).toBe(
    "velocity node set b --label rack=b --label old=",
  );
  expect(editCli(host({}), { labels: { gpu: "" } })).toBeUndefined();
});

test("of many VMs, the first are named", () => {
  expect(namesOf([{ name: "a" }, { name: "b" }])).toBe("a, b");
  expect(namesOf([{ name: "a" }, { name: "b" }, { name: "c" }], 1)).toBe("a and 2 more");
});

test("a host can be given the duties that it has not", () => {
  expect(changesOf(host({})).map((one) => one.command)).toEqual(["drain", "maintenance"]);
  expect(changesOf(host({ duty: "draining" })).map((one) => one.command)).toEqual(["activate", "maintenance"]);
  const left = changesOf(host({ duty: "draining", vms: 1 })).map((one) => one.verb);
  expect(left, "those that could not move are moved later").toContain("Move its VMs away");
  const kept = changesOf(host({ duty: "maintenance", vms: 1 })).map((one) => one.verb);
  expect(kept, "it stays in maintenance").toEqual(["Activate", "Drain", "Move its VMs away"]);
  const lost = changesOf(host({ duty: "draining", vms: 1, state: "unreachable" })).map((one) => one.verb);
  expect(lost, "nothing moves off a host that does not answer").not.toContain("Move its VMs away");
});

test("a drain is told while it is under way, and then as long as it has left VMs there", () => {
  const task: TaskInfo = {
    ...{ tid: 1, kind: "drain", uid: 0, gid: 0, name: "b", state: "FAILED" },
    ...{ done: 1, total: 2, unit: "VMs", begun: 1, message: "moved 1 of 2 VMs" },
  };
  const drained = host({ duty: "draining", vms: 1 });
  expect(lastDrain(drained, [task])).toBe(task);
  expect(lastDrain(drained, [task, { ...task, tid: 2, state: "DONE" }])).toBeUndefined();
  expect(lastDrain(host({ duty: "maintenance", vms: 1 }), [task])).toBe(task);
  expect(lastDrain(host({ vms: 1 }), [task])).toBeUndefined();
  expect(lastDrain(host({ duty: "draining" }), [task]), "they are gone since").toBeUndefined();
  expect(lastDrain(drained, [{ ...task, name: "c" }])).toBeUndefined();
  expect(lastDrain(host({ vms: 1 }), [task, { ...task, tid: 2, state: "RUNNING" }])?.tid).toBe(2);
});

test("a name that would be read as something else goes by its id", () => {
  expect(hostWord(host({}))).toBe("b");
  expect(hostWord(host({ name: "7" }))).toBe("id:2");
});

test("who has joined is who was not there before", () => {
  const before = [host({ host: 1 }), host({ host: 2, joined: 5 })];
  expect(newcomer(before, before)).toBeUndefined();
  expect(newcomer(before, [...before, host({ host: 3, name: "c" })])?.name).toBe("c");
  expect(newcomer(before, [host({ host: 1 }), host({ host: 2, joined: 9 })])?.host).toBe(2);
});
