import { expect, test } from "vitest";
import type { Plan, Step } from "@/api/schema";
import { sentence as named, summed } from "./steps";

const sentence = (step: Step) =>
  named(step, {
    group: (gid) => ["root group", "team"][gid] ?? "",
    pool: (mpid) => ["default", "fast"][mpid - 1] ?? "",
  });

test("a step tells what changes, in units", () => {
  expect(
    sentence({
      do: "change",
      kind: "group",
      name: "web",
      changes: [
        { field: "memory_mib", old: 1024, new: 2048 },
        { field: "vms", new: 3 },
      ],
    }),
  ).toBe("Changes the group web: memory 1 GiB → 2 GiB, VMs 3");
  expect(sentence({ do: "change", kind: "user", name: "anna", changes: [{ field: "password" }] })).toBe(
    "Changes the user anna: password",
  );
  expect(sentence({ do: "change", kind: "group", name: "web", changes: [{ field: "cpus", old: 4 }] })).toContain(
    "CPUs 4 → no limit",
  );
});

test("groups and pools are named", () => {
  const changes = [
    { field: "gid", old: 0, new: 1 },
    { field: "mpid", old: 1, new: 2 },
  ];
  expect(sentence({ do: "change", kind: "medium", name: "disk", changes })).toBe(
    "Changes the medium disk: group root group → team, pool default → fast",
  );
});

test("permissions are given to somebody, and taken from them", () => {
  const changes = [{ field: "permissions", old: ["velocity.vm.view", "velocity.vm.interact"] }];
  expect(sentence({ do: "revoke", kind: "user", name: "ann", changes })).toBe(
    "Takes “View virtual machines and their states”, “Use the consoles of virtual machines” from ann",
  );
});

test("what is done stands around what it is done with", () => {
  const step = (one: Step["do"], kind: Step["kind"], name = "old"): Step => ({ do: one, kind, name });
  expect(sentence(step("delete", "medium", "$& old"))).toBe("Moves the medium $& old to the trash");
  expect(sentence(step("kill", "vm"))).toBe("Forces the VM old off");
  expect(sentence(step("purge", "vm"))).toBe("Permanently deletes the VM old");
  expect(sentence(step("delete", "user"))).toBe("Removes the user old");
});

test("what goes is counted by kind", () => {
  const step = (kind: Step["kind"]): Step => ({ do: "delete", kind, name: "x" });
  const plan: Plan = { plan: true, consumes: [], steps: [step("group"), step("vm"), step("vm"), step("medium")] };
  expect(summed(plan)).toBe("1 group, 2 VMs and 1 medium");
});
