import { expect, test } from "vitest";
import { SETS } from "@/ui/permissions";
import { folded, type Line } from "./folded";
import type { Entry } from "./paging";
import { plain } from "./parts";
import { type Names, sentence, type Told } from "./sentence";
import { readTarget } from "./target";

const names: Names = {
  vm: (vmid) => (vmid === 7 ? "web" : undefined),
  medium: (mid) => (mid === "m1" ? "debian.iso" : undefined),
  group: (gid) => (gid === 0 ? "/" : gid === 3 ? "team/web" : undefined),
  user: (uid) => (uid === 2 ? "anna" : undefined),
  pool: () => "default",
  host: (id) => (id === 4 ? "cellar" : undefined),
  hostPath: () => undefined,
  me: 5,
  deleted: (kind, id) => (kind === "vm" && id === 11 ? "old" : undefined),
};
const said = (operation: string, target: string, refused = false, more: Partial<Told> = {}) =>
  plain(sentence({ operation, target, gid: 0, refused, ...more }, names));

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
  expect(said("set_vm_state", "vmid=7 state=RUNNING->PAUSED")).toBe("paused VM web");
  expect(said("set_vm_state", "vmid=7 state=STOPPED->RUNNING")).toBe("started VM web");
  expect(said("set_vm_state", "vmid=7 state=PAUSED->RUNNING")).toBe("resumed VM web");
  expect(said("create_vm", "gid=3 name=db")).toBe("created VM db in group team/web");
  expect(said("create_vm", "gid=3 vmid=8 cloned=7 name=db")).toBe(
    "created VM db in group team/web, as a clone of VM web",
  );
  expect(said("create_vm", "gid=3 name=old", false, { vmid: 7 })).toBe("created VM web in group team/web");
  expect(said("grant_permission", "uid=2 gid=3 permission=velocity.vm.view")).toBe(
    "granted “View virtual machines and their states” on group team/web to user anna",
  );
  expect(said("revoke_permission", "uid=2 gid=3")).toBe("revoked all permissions on group team/web from user anna");
  expect(said("sign_in", "")).toBe("signed in");
  expect(said("change_user", "")).toBe("changed their own password");
  expect(said("change_user", "gid=3")).toBe("set their own home group to group team/web");
  expect(said("change_user", "uid=2 gid=3")).toBe("set the home group of user anna to group team/web");
});

test("what lies in the trash is called by its name; what is gone by its number", () => {
  expect(said("delete_vm", "vmid=11")).toBe("deleted VM old");
  expect(said("delete_vm", "vmid=12")).toBe("deleted VM 12");
  expect(said("delete_vm", "vmid=11 disks=1")).toBe("deleted VM old and its disk");
  expect(said("delete_vm", "vmid=11 disks=2")).toBe("deleted VM old and its 2 disks");
});

test("what was refused was only tried", () => {
  expect(said("delete_vm", "vmid=7", true)).toBe("tried to delete VM web");
});

test("what is gone has its number, or the name that it had", () => {
  expect(said("delete_vm", "vmid=9")).toBe("deleted VM 9");
  expect(said("delete_medium", "mid=0123456789")).toBe("deleted medium 01234567");
  expect(said("alter_vm", "vmid=9 changed=name name=old")).toBe("renamed a VM to old");
});

test("what is there has a page", () => {
  expect(sentence({ operation: "alter_vm", target: "vmid=7", gid: 0, refused: false }, names)[1]).toEqual({
    name: "VM web",
    to: "/vms/7",
  });
  const drained = { operation: "drain_node", target: "host=4", gid: 0, refused: false };
  expect(sentence(drained, names)).toContainEqual({ name: "host cellar" });
  expect(sentence(drained, { ...names, hostPath: (id) => `/hosts/${id}` })).toContainEqual({
    name: "host cellar",
    to: "/hosts/4",
  });
});

test("a change says what it changed, and much of it only when asked", () => {
  expect(said("alter_vm", "vmid=7 cpus=4 memory_mib=8192")).toBe("gave VM web 4 CPUs, 8 GiB of memory");
  expect(said("alter_vm", "vmid=7 cpus=1", true)).toBe("tried to give VM web 1 CPU");
  expect(said("alter_vm", "vmid=7 changed=name name=web")).toBe("renamed a VM to web");
  expect(said("alter_vm", "vmid=7 name=web"), "as an older server wrote each change").toBe("changed VM web");
  expect(said("alter_vm", 'vmid=7 changed=name name="cpus=4 b"')).toBe("renamed a VM to cpus=4 b");
  expect(said("alter_vm", "vmid=7")).toBe("changed VM web");
  expect(said("alter_vm", "vmid=7 cpus=2 autostart=true ha=off changed=nics+unheard_of")).toBe(
    "changed VM web: 2 CPUs, start with the server: on, the restart after a failure: off, NICs, unheard of",
  );
  expect(said("alter_vm", "vmid=7 start_order=2")).toBe("changed VM web: place 2 in the order of starts");
  expect(said("alter_vm", "vmid=7 start_order=0")).toBe("changed VM web: no place in the order of starts");
  const many = {
    operation: "alter_vm",
    target: "vmid=7 max_cpus=0 changed=nics+media+notes+cpu",
    gid: 0,
    refused: false,
  };
  expect(sentence(many, names).slice(2)).toEqual([
    ": while it runs no more CPUs, NICs, media, ",
    { short: "2 more", long: ["notes, CPU model"] },
  ]);
  expect(said("alter_medium", "mid=m1 size=21474836480")).toBe("grew medium debian.iso to 20 GiB");
  expect(said("alter_medium", "mid=m1 readonly=true changed=name name=x")).toBe(
    "changed medium debian.iso: the name x, read-only",
  );
  expect(said("alter_vm", "vmid=7 cpus=2->4 changed=name was=old name=web")).toBe(
    "changed VM web: the name old → web, CPUs 2 → 4",
  );
  expect(said("alter_vm", "vmid=7 changed=name name=db", true)).toBe("tried to rename VM web to db");
  expect(said("alter_vm", "vmid=9 changed=name name=db", true)).toBe("tried to rename VM 9 to db");
  expect(said("set_quota", "gid=3 cpus=8 vms=1")).toBe("set the quota of group team/web to 8 CPUs, 1 VM");
  expect(said("set_quota", "gid=3")).toBe("set the quota of group team/web");
  expect(said("assign_pool", "gid=3 mpid=1 quota=0 write=true manage=false")).toBe(
    "assigned pool default to group team/web: no limit of its own, to write",
  );
  expect(said("set_node", "host=4 keeps_copy=true")).toBe("began to keep copies of the database on host cellar");
  expect(said("set_node", "host=4 duty=draining")).toBe("began to drain host cellar");
  expect(said("set_node", "host=5 changed=labels")).toBe("changed host 5: labels");
});

test("a change says what was before, and which devices it was about", () => {
  expect(said("alter_vm", "vmid=7 cpus=2->4 memory_mib=2048->4096 autostart=false->true")).toBe(
    "changed VM web: CPUs 2 → 4, memory 2 GiB → 4 GiB, start with the server: on",
  );
  expect(said("alter_vm", "vmid=7 media=+m1")).toBe("attached medium debian.iso to VM web");
  expect(said("alter_vm", "vmid=7 media=-m1 changed=drives")).toBe("ejected medium debian.iso from VM web");
  expect(said("alter_vm", "vmid=7 media=+m1 changed=drives")).toBe("inserted medium debian.iso into VM web");
  expect(said("alter_vm", "vmid=7 media=-m1")).toBe("detached medium debian.iso from VM web");
  expect(said("alter_vm", "vmid=7 media=+m1,-0123456789,~m1 changed=drives")).toBe(
    "changed VM web: attached medium debian.iso, detached medium 01234567, how medium debian.iso is attached",
  );
  expect(said("alter_vm", "vmid=7 nics=+nat,-bridge:3,nat->nat:down displays=800x600->1024x768")).toBe(
    "changed VM web: NIC added (NAT), NIC removed (bridge on host NIC 3), NIC NAT → NAT, cable unplugged, " +
      "display 800×600 → 1024×768",
  );
  expect(said("alter_vm", "vmid=7 forwards=+127.0.0.1:53:53/udp,-2222:22 changed=boot_order")).toBe(
    "changed VM web: port forward added (127.0.0.1:53 to 53, UDP), port forward removed (2222 to 22), boot order",
  );
  expect(said("alter_medium", "mid=m1 size=10737418240->21474836480")).toBe(
    "grew medium debian.iso from 10 GiB to 20 GiB",
  );
  expect(said("set_quota", "gid=3 cpus=none->8 vms=1->none")).toBe(
    "set the quota of group team/web: CPUs no limit → 8, VMs 1 → no limit",
  );
  expect(said("assign_pool", "gid=3 mpid=1 quota=none->0 write=none->true manage=none->false")).toBe(
    "assigned pool default to group team/web: no limit of its own, to write",
  );
  expect(said("assign_pool", "gid=3 mpid=1 quota=0->1073741824 manage=true->false")).toBe(
    "assigned pool default to group team/web: quota no limit → 1 GiB, no longer to manage",
  );
  expect(said("set_node", "host=4 keeps_copy=false->true")).toBe("began to keep copies of the database on host cellar");
});

test("a guest is asked to shut down or to restart, or forced", () => {
  expect(said("set_vm_state", "vmid=7 state=STOPPED")).toBe("asked VM web to shut down");
  expect(said("set_vm_state", "vmid=7 state=RUNNING->STOPPED")).toBe("asked VM web to shut down");
  expect(said("set_vm_state", "vmid=7 state=STOPPED", true)).toBe("tried to ask VM web to shut down");
  expect(said("set_vm_state", "vmid=7 state=STOPPED force=true")).toBe("forced VM web off");
  expect(said("set_vm_state", "vmid=7 state=PAUSED->STOPPED force=true")).toBe("forced VM web off");
  expect(said("restart_vm", "vmid=7")).toBe("asked VM web to restart");
  expect(said("restart_vm", "vmid=7 force=true")).toBe("restarted VM web by force");
});

test("oneself is you", () => {
  expect(said("grant_permission", "uid=5 gid=3 permission=velocity.vm.view")).toBe(
    "granted “View virtual machines and their states” on group team/web to you",
  );
  expect(said("change_user", "uid=5")).toBe("set your password");
  expect(said("change_user", "", false, { uid: 5 })).toBe("changed your own password");
  expect(said("change_user", "gid=3", false, { uid: 5 })).toBe("set your own home group to group team/web");
});

const PERMISSIONS = ["vm.view", "host.view", "vm.state"];

test("a set of permissions is one line", () => {
  const one = (hid: number, permission: string, more: Partial<Entry> = {}) =>
    ({
      hid,
      at: 1000 + hid,
      uid: 0,
      name: "root",
      operation: "grant_permission",
      target: `uid=5 gid=3 permission=velocity.${permission}`,
      gid: 3,
      status: 200,
      ...more,
    }) as Entry;
  const operator = SETS.find((set) => set.name === "operator")?.permissions ?? [];
  const given = operator.map((name, index) => one(index, name)).reverse();
  const lines = folded([one(20, "vm.view", { uid: 7 }), ...given]);
  expect(lines.map((line) => line.hid)).toEqual([20, operator.length - 1]);
  expect(plain(sentence({ ...(lines[1] as Line), refused: false }, names))).toBe(
    "granted the operator permissions (7) on group team/web to you",
  );
  // another user, another group, a refusal, or some minutes between them
  const others = [
    one(2, "vm.view"),
    one(1, "vm.view", { target: "uid=6 gid=3 permission=velocity.vm.view" }),
    one(0, "vm.view", { target: "uid=6 gid=4 permission=velocity.vm.view" }),
    one(-1, "vm.view", { target: "uid=6 gid=4 permission=velocity.vm.view", status: 403 }),
    one(-2, "vm.view", { target: "uid=6 gid=4 permission=velocity.vm.view", at: 0 }),
  ];
  expect(folded(others).length).toBe(others.length);
  expect(said("grant_permission", "uid=2 gid=3 permission=x", false, { permissions: PERMISSIONS })).toBe(
    "granted “View virtual machines and their states”, “Start, stop, pause and resume virtual machines” and " +
      "1 other permission on group team/web to user anna",
  );
});

test("what came back from the trash has its name", () => {
  expect(said("restore", "trid=1 vmid=7 name=web")).toBe("restored VM web from the trash");
  expect(said("restore", 'trid=1 mid=m9 name="old disk"')).toBe("restored medium old disk from the trash");
  expect(said("restore", "trid=1")).toBe("restored an item from the trash");
});

test("an operation that is new here is still told", () => {
  expect(said("show_host", "", true)).toBe("tried to see the host");
  expect(said("show_user", "uid=2", true)).toBe("tried to see the permissions of user anna");
  expect(said("frobnicate_vm", "vmid=7")).toBe("asked for “frobnicate vm” of VM web");
});
