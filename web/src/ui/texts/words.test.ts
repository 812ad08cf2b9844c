import { expect, test } from "vitest";
import { inWords, type Names, refusalWords, withMediaNames } from "./words";

const MEDIUM = "bfe56bd7-0ec0-4a3b-8a51-5c2d1f0a9e11";
const names: Names = {
  vm: (vmid) => (vmid === 7 ? "web" : undefined),
  medium: (mid) => (mid === MEDIUM ? "debian.iso" : undefined),
  group: (gid) => (gid === 3 ? "team/web" : undefined),
  user: (uid) => (uid === 2 ? "anna" : undefined),
  pool: (mpid) => (mpid === 1 ? "default" : undefined),
};

test("ids are names, of what the person sees; what they do not see is not told by its id", () => {
  expect(inWords(`medium ${MEDIUM} is attached writable already`, names)).toBe(
    "medium debian.iso is attached writable already",
  );
  expect(inWords(`there is no medium ${MEDIUM.replace("b", "c")}`, names)).toBe("there is no such medium");
  expect(inWords("VM 7 is RUNNING: stop it first", names)).toBe("VM web is running: stop it first");
  expect(inWords("pool 1 is not assigned to group 3 itself, nor group 0", names)).toBe(
    "pool default is not assigned to group team/web itself, nor the root group",
  );
  expect(inWords("user 2 holds permissions that you do not have", names)).toMatch(/^user anna holds/);
});

test("the reason of a VM names media; what else it says stays", () => {
  expect(withMediaNames(`another VM is writing to medium ${MEDIUM}: stop it first (\`velocity vm stop\`)`, names)).toBe(
    "another VM is writing to medium debian.iso: stop it first (`velocity vm stop`)",
  );
  expect(withMediaNames(`medium ${MEDIUM.replace("b", "c")} is away`, names)).toBe(
    "a medium that you do not see is away",
  );
  expect(withMediaNames(`see /machines/${MEDIUM}/log`, names)).toBe(`see /machines/${MEDIUM}/log`);
});

test("nothing of the command line and of the API is told to who sits at the page", () => {
  const cases: [string, string][] = [
    ["a VM on this host can have 1 to 24105 MiB", "a VM on this host can have up to 23.5 GiB"],
    ["cpus is 300: a VM on this host can have 1 to 255", "a VM can have up to 255"],
    ["memory_mib is 1048576: a VM on this host can have 1 to 24105 MiB", "a VM on this host can have up to 23.5 GiB"],
    [
      "more CPUs while it runs need max_cpus, set before its start",
      "more CPUs while it runs need a maximum of CPUs, set before its start",
    ],
    ["there is no host NIC 3 (`velocity nic list`, POST /v/nic/list, lists them)", "there is no host NIC 3"],
    ["wait until it has ended, or cancel it (`velocity task list`)", "wait until it has ended, or cancel it"],
    [
      "anna may do this: they have velocity.vm.create on / (0), team/web (3)",
      "anna may do this: they have “Create virtual machines” on the root group, team/web",
    ],
    [
      "once it is off, `velocity node confirm-dead b` says so, and `velocity node fence b --now` powers it off",
      "once it is off, “Confirm that it is off…” in its menu says so, and “Power off…” there powers it off",
    ],
    [
      "or `velocity node fence b --blocklist` frees those that write only to RBD",
      "or “Blocklist on Ceph…” there frees those that write only to RBD",
    ],
    ["attach it with `readonly`, or use another medium", "attach it read-only, or use another medium"],
    ["you need velocity.vm.create on /: ask anna", "you need “Create virtual machines” on the root group: ask anna"],
    [
      "ask someone who can assign it there (`velocity why`, POST /u/why, lists them)",
      "ask someone who can assign it there",
    ],
  ];
  for (const [server, people] of cases) expect(inWords(server, names)).toBe(people);
});

test("a refusal is the page's sentence, and with a colon what the server adds", () => {
  expect(refusalWords(16421, "memory_mib is 1048576: a VM on this host can have 1 to 24105 MiB", names)).toBe(
    "Too much memory: a VM on this host can have up to 23.5 GiB.",
  );
  expect(refusalWords(16420, "CPUs: the quota of lab is 8, with 0 left", names)).toBe(
    "Too many CPUs: the quota of lab is 8, with 0 left.",
  );
  expect(refusalWords(2220, "a user named 'x' already exists", names)).toBe(
    "A user with that name already exists. Choose another name.",
  );
  expect(refusalWords(99999, "something newer", names)).toBe("Something newer.");
});
