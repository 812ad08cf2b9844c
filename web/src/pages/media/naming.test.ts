import { expect, test } from "vitest";
import { type Chosen, namesOf, problemsOf } from "./naming";

const file = (name: string, size = 1) => ({ name, size }) as File;
const chosen = (id: number, of: File, name?: string): Chosen => ({ id, file: of, name, type: "ISO", readonly: false });

test("a file's own name steps aside, what was typed does not", () => {
  const taken = new Set(["a.iso"]);
  const list = [
    chosen(1, file("a.iso")),
    chosen(2, file("b.iso")),
    chosen(3, file("x"), "b.iso"),
    chosen(4, file("c")),
  ];
  const names = namesOf(list, taken);
  expect(names).toEqual(["a.iso 2", "b.iso 2", "b.iso", "c"]);
  expect(list.map((one, index) => problemsOf(one, index, names, taken).name)).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});

test("what cannot be uploaded is said before", () => {
  const names = ["same", "same"];
  expect(problemsOf(chosen(1, file("a", 0), "same"), 0, names, new Set())).toEqual({
    file: "The file is empty.",
    name: "Two of these files have the same name.",
    type: undefined,
  });
  expect(problemsOf(chosen(1, file("a"), "same"), 0, ["same"], new Set(["same"])).name).toContain("with that name");
});
