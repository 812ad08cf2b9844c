import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { AT_ONCE, FORGOTTEN, Turns } from "./turns";

/** Tabs by name, and how many uploads each may have under way by what it was told. */
function world() {
  const turns = new Turns();
  const may: Record<string, number> = {};
  const tells = new Map<string, (turn: { may: number }) => void>();
  const tell = (name: string) => {
    const made = tells.get(name) ?? ((turn: { may: number }) => Object.assign(may, { [name]: turn.may }));
    tells.set(name, made);
    return made;
  };
  return {
    may,
    want: (name: string, wanted: number) => turns.want(tell(name), wanted),
    leave: (name: string) => turns.leave(tell(name)),
    look: () => turns.look(),
  };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("lets no more upload at once than there may, however many tabs there are", () => {
  const { may, want } = world();
  for (const name of ["a", "b", "c", "d"]) want(name, 3);
  expect(may).toEqual({ a: AT_ONCE, b: 0, c: 0, d: 0 });
  want("a", 1);
  expect(may).toEqual({ a: 1, b: AT_ONCE - 1, c: 0, d: 0 });
});

it("gives the turn to the next when one has no more, or is closed", () => {
  const { may, want, leave } = world();
  want("a", 1);
  want("b", 3);
  want("c", 3);
  expect(may).toEqual({ a: 1, b: 1, c: 0 });
  want("a", 0);
  expect(may).toEqual({ a: 0, b: 2, c: 0 });
  leave("b");
  expect(may.c).toBe(2);
});

it("waits not for ever for a tab that has crashed", () => {
  const { may, want, look } = world();
  want("crashed", 2);
  vi.advanceTimersByTime(FORGOTTEN);
  want("waits", 2);
  expect(may.waits).toBe(0);
  vi.advanceTimersByTime(1);
  look();
  expect(may.waits).toBe(2);
});
