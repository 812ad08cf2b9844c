import { expect, it } from "vitest";
import { linesOf } from "./argv";
import { operationWords } from "./operations";

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

it("operations are told in words, unknown ones by their name", () => {
  expect(operationWords({ operation: "set_vm_state", target: "vmid=7 state=PAUSED" })).toBe("Paused it");
  expect(operationWords({ operation: "set_vm_state", target: "vmid=7" })).toBe("Requested a state");
  expect(operationWords({ operation: "read_log", target: "vmid=7" })).toBe("read log");
});
