import { expect, it } from "vitest";
import { linesOf } from "./argv";

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
