import { expect, test } from "vitest";
import { SETS } from "@/ui/permissions";
import { stepsOf, type Team } from "./team";

const TEAM: Team = { name: "web", parent: 0, parentPath: "/", limits: {} };
const never = () => Promise.reject(new Error("asked"));
const lines = (team: Team) => stepsOf(team).map((step) => step.cli.join(" "));

test("the least is a group", () => {
  expect(lines(TEAM)).toEqual(["velocity group create web"]);
});

test("a whole team is what the documentation types", () => {
  expect(
    lines({
      ...TEAM,
      limits: { cpus: 8, memory_mib: 16384, vms: 10 },
      pool: { mpid: 1, name: "default", quota: 200 * 2 ** 30, write: true, manage: true },
      member: { name: "anna", password: "x", permissions: SETS[3]?.permissions ?? [] },
    }),
  ).toEqual([
    "velocity group create web",
    "velocity group quota web --cpus 8 --memory 16G --vms 10",
    "velocity pool assign id:1 web --quota 200G --write --manage",
    "velocity user create --group web anna",
    "velocity user grant anna admin --group web",
  ]);
});

test("under another group, names are paths; who exists is not created", () => {
  expect(
    lines({
      ...TEAM,
      parent: 2,
      parentPath: "dev",
      member: { name: "ben", uid: 4, permissions: ["vm.view", "host.view"] },
    }),
  ).toEqual(["velocity group create --parent dev web", "velocity user grant ben vm.view host.view --group dev/web"]);
});

test("a step that needs what is not there says so", async () => {
  const quota = stepsOf({ ...TEAM, limits: { vms: 1 } })[1];
  await expect(quota?.run({}, never)).rejects.toThrow("group");
});
