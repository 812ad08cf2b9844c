import { expect, test } from "vitest";
import { bodyOf, OPERATIONS, type Suppositions, whyLine } from "./question";

const NONE = { granted: [], revoked: [] };
const WORD = { user: (uid: number) => `u${uid}`, group: (gid: number) => `g${gid}` };

test("nothing is asked before it is complete", () => {
  expect(bodyOf({}, NONE)).toBeUndefined();
  expect(bodyOf({ operation: "create_vm", uid: 3 }, NONE)).toBeUndefined();
  expect(bodyOf({ operation: "create_vm", gid: 0 }, NONE)).toEqual({ operation: "create_vm", gid: 0 });
});

test("only the object that the operation is about is sent", () => {
  expect(bodyOf({ operation: "set_vm_state", uid: 3, gid: 2, vmid: 7 }, NONE)).toEqual({
    operation: "set_vm_state",
    uid: 3,
    vmid: 7,
  });
  expect(bodyOf({ operation: "create_user", gid: 2 }, NONE)).toEqual({ operation: "create_user" });
});

test("what is supposed goes along, also on the command line", () => {
  const supposed: Suppositions = { granted: [{ gid: 2, permission: "velocity.vm.create" }], revoked: [] };
  expect(bodyOf({ operation: "create_vm", gid: 5 }, supposed)).toHaveProperty("granted", supposed.granted);
  expect(whyLine({ operation: "create_vm", gid: 5, uid: 3 }, supposed, WORD).join(" ")).toBe(
    "velocity why create_vm --user u3 --group g5 --if-granted g2:vm.create",
  );
});

test("every operation is offered once", () => {
  const names = OPERATIONS.flatMap((area) => area.operations.map((one) => one.name));
  expect(new Set(names).size).toBe(names.length);
});
