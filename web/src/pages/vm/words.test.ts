import { expect, it } from "vitest";
import { linesOf } from "./argv";
import { deed } from "./deeds";

it("a command has its program, then an option a line, quoted for a shell", () => {
  const argv = ["qemu-system-x86_64", "-name", "my web,debug=on", "-nodefaults", "-smp", "2", "-add-fd", "fd=3,set=1"];
  expect(linesOf(argv)).toEqual([
    "qemu-system-x86_64",
    "-name 'my web,debug=on'",
    "-nodefaults",
    "-smp 2",
    "-add-fd fd=3,set=1",
  ]);
  expect(linesOf(["-1"])).toEqual(["-1"]);
  expect(linesOf([])).toEqual([]);
});

it("deeds are told in words, unknown ones by their name", () => {
  expect(deed({ operation: "set_vm_state", target: "vmid=7 state=PAUSED" })).toBe("Paused it");
  expect(deed({ operation: "set_vm_state", target: "vmid=7" })).toBe("Asked for a state");
  expect(deed({ operation: "read_log", target: "vmid=7" })).toBe("read log");
});
