import { expect, test } from "vitest";
import { type Names, plain, readTarget, sentence } from "./sentence";

const names: Names = {
  vm: (vmid) => (vmid === 7 ? "web" : undefined),
  medium: (mid) => (mid === "m1" ? "debian.iso" : undefined),
  group: (gid) => (gid === 0 ? "/" : gid === 3 ? "team/web" : undefined),
  user: (uid) => (uid === 2 ? "anna" : undefined),
  pool: () => "default",
};
const said = (operation: string, target: string, refused = false) =>
  plain(sentence({ operation, target, gid: 0, refused }, names));

test("a target is read as the server wrote it, whatever a name holds", () => {
  expect(readTarget("vmid=7 name=a state=RUNNING b=c")).toEqual({ vmid: 7, name: "a state=RUNNING b=c" });
  expect(readTarget('vmid=7 name="a \\"b\\" uid=0"')).toEqual({ vmid: 7, name: 'a "b" uid=0' });
  expect(readTarget('vmid=7 name="cut o…')).toEqual({ vmid: 7, name: '"cut o…' });
  expect(readTarget("gid=3 mid=0a-1 mpid=1")).toEqual({ gid: 3, mid: "0a-1", mpid: 1 });
  expect(readTarget("")).toEqual({});
  expect(readTarget("something else")).toEqual({});
});

test("what was done", () => {
  expect(said("set_vm_state", "vmid=7 state=PAUSED")).toBe("paused VM web");
  expect(said("create_vm", "gid=3 name=db")).toBe("created VM db in group team/web");
  expect(said("grant_permission", "uid=2 gid=3 permission=velocity.vm.view")).toBe(
    "gave user anna vm.view on group team/web",
  );
  expect(said("revoke_permission", "uid=2 gid=3")).toBe("took all permissions on group team/web from user anna");
  expect(said("sign_in", "")).toBe("signed in");
  expect(said("change_user", "")).toBe("changed their own password");
  expect(said("change_user", "uid=2 gid=3")).toBe("changed the account of user anna, whose home is group team/web");
});

test("what was refused was only tried", () => {
  expect(said("delete_vm", "vmid=7", true)).toBe("tried to delete VM web");
});

test("what is gone has its number, or the name that it had", () => {
  expect(said("delete_vm", "vmid=9")).toBe("deleted VM 9");
  expect(said("delete_medium", "mid=0123456789")).toBe("deleted medium 01234567");
  expect(said("alter_vm", "vmid=9 name=old")).toBe("changed VM old");
});

test("what is there has a page", () => {
  expect(sentence({ operation: "alter_vm", target: "vmid=7", gid: 0, refused: false }, names)[1]).toEqual({
    name: "VM web",
    to: "/vms/7",
  });
});

test("an operation that is new here is still told", () => {
  expect(said("show_host", "", true)).toBe("tried to see the host");
  expect(said("frobnicate_vm", "vmid=7")).toBe("asked for “frobnicate vm” of VM web");
});
