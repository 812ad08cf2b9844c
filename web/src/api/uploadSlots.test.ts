import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { TAB_TIMEOUT_MS, UPLOADS_AT_ONCE, UploadSlots } from "./uploadSlots";

/** Tabs by name, and how many uploads each may have under way by what it was told. */
function world() {
  const slots = new UploadSlots();
  const may: Record<string, number> = {};
  const listeners = new Map<string, (message: { may: number }) => void>();
  const listenerOf = (name: string) => {
    const made = listeners.get(name) ?? ((message: { may: number }) => Object.assign(may, { [name]: message.may }));
    listeners.set(name, made);
    return made;
  };
  return {
    may,
    request: (name: string, wanted: number) => slots.request(listenerOf(name), wanted),
    leave: (name: string) => slots.leave(listenerOf(name)),
    assign: () => slots.assign(),
  };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("lets no more upload at once than there may, however many tabs there are", () => {
  const { may, request } = world();
  for (const name of ["a", "b", "c", "d"]) request(name, 3);
  expect(may).toEqual({ a: UPLOADS_AT_ONCE, b: 0, c: 0, d: 0 });
  request("a", 1);
  expect(may).toEqual({ a: 1, b: UPLOADS_AT_ONCE - 1, c: 0, d: 0 });
});

it("gives the turn to the next when one has no more, or is closed", () => {
  const { may, request, leave } = world();
  request("a", 1);
  request("b", 3);
  request("c", 3);
  expect(may).toEqual({ a: 1, b: 1, c: 0 });
  request("a", 0);
  expect(may).toEqual({ a: 0, b: 2, c: 0 });
  leave("b");
  expect(may.c).toBe(2);
});

it("waits not for ever for a tab that has crashed", () => {
  const { may, request, assign } = world();
  request("crashed", 2);
  vi.advanceTimersByTime(TAB_TIMEOUT_MS);
  request("waits", 2);
  expect(may.waits).toBe(0);
  vi.advanceTimersByTime(1);
  assign();
  expect(may.waits).toBe(2);
});
