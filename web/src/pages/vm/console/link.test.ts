import { afterEach, beforeEach, expect, it, vi } from "vitest";

vi.hoisted(() => vi.stubGlobal("addEventListener", () => undefined)); // the session watches for keys

import { ApiError } from "@/api/http";
import { ConsoleLink, ENDED, FORBIDDEN, LOST, reason } from "./link";

class FakeSocket extends EventTarget {
  closed = false;
  close() {
    this.closed = true;
  }
  tell(type: "open" | "message" | "close", code = 1006) {
    this.dispatchEvent(Object.assign(new Event(type), { code }));
  }
}

function world() {
  const sockets: FakeSocket[] = [];
  const detached: FakeSocket[] = [];
  const ask = vi.fn(async () => `/ticket/${sockets.length}`);
  const link = new ConsoleLink({
    ask,
    connect: () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket as unknown as WebSocket;
    },
    attach: (socket, answered) => {
      socket.addEventListener("message", answered);
      return () => void detached.push(socket as unknown as FakeSocket);
    },
  });
  return { sockets, detached, ask, link };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("asks for a new ticket when the connection breaks, at growing distances", async () => {
  const { sockets, detached, ask, link } = world();
  await link.open();
  sockets[0]?.tell("open");
  expect(link.state.value).toEqual({ is: "open" });
  sockets[0]?.tell("close");
  expect(link.state.value).toMatchObject({ is: "lost", next: Date.now() + 500 });
  expect(detached).toEqual([sockets[0]]);
  await vi.advanceTimersByTimeAsync(500);
  expect(ask).toHaveBeenCalledTimes(2);
  sockets[1]?.tell("close");
  expect(link.state.value).toMatchObject({ is: "lost", next: Date.now() + 1000 });
});

it("begins with short distances again after a connection that held", async () => {
  const { sockets, link } = world();
  await link.open();
  sockets[0]?.tell("close");
  await vi.advanceTimersByTimeAsync(500);
  sockets[1]?.tell("open");
  await vi.advanceTimersByTimeAsync(6000);
  sockets[1]?.tell("close");
  expect(link.state.value).toMatchObject({ is: "lost", next: Date.now() + 500 });
});

it("tries again while the server is away or the VM is stopped, and not where it may not", async () => {
  for (const error of [new ApiError(0, 0, "away"), new ApiError(503, 503, "ends"), new ApiError(406, 19120, "off")]) {
    const { ask, link } = world();
    ask.mockRejectedValueOnce(error);
    await link.open();
    expect(link.state.value).toMatchObject({ is: "lost", message: error.message });
    await vi.advanceTimersByTimeAsync(500);
    expect(ask).toHaveBeenCalledTimes(2);
  }
  for (const error of [
    new ApiError(403, 19100, "no"),
    new ApiError(404, 19110, "gone"),
    new ApiError(406, 19121, "?"),
  ]) {
    const { ask, link } = world();
    ask.mockRejectedValueOnce(error);
    await link.open();
    expect(link.state.value).toEqual({ is: "over", message: error.message });
    await vi.advanceTimersByTimeAsync(20000);
    expect(ask).toHaveBeenCalledTimes(1);
  }
});

it("says why it was lost until it has a new ticket", async () => {
  const { sockets, ask, link } = world();
  await link.open();
  sockets[0]?.tell("open");
  let give = (_path: string): void => undefined;
  ask.mockImplementationOnce(() => new Promise((resolve) => (give = resolve)));
  sockets[0]?.tell("close", FORBIDDEN);
  await vi.advanceTimersByTimeAsync(20000);
  expect(link.state.value).toMatchObject({ is: "lost", message: reason(FORBIDDEN, true) });
  give("/ticket/new");
  await vi.advanceTimersByTimeAsync(0);
  expect(link.state.value).toEqual({ is: "connecting" });
});

it("tries a server that does not open it again by another connection", async () => {
  const { sockets, link } = world();
  await link.open();
  await vi.advanceTimersByTimeAsync(29_000);
  expect(link.state.value).toEqual({ is: "connecting" });
  await vi.advanceTimersByTimeAsync(1000);
  expect(link.state.value).toMatchObject({ is: "lost", message: "The server did not respond." });
  expect(sockets[0]?.closed).toBe(true);
  await vi.advanceTimersByTimeAsync(500);
  sockets[1]?.tell("open");
  await vi.advanceTimersByTimeAsync(60_000);
  expect(link.state.value).toMatchObject({ is: "open" });
});

it("tells of a console that says nothing, until it does", async () => {
  const { sockets, link } = world();
  await link.open();
  sockets[0]?.tell("open");
  expect(link.state.value).toEqual({ is: "open" });
  await vi.advanceTimersByTimeAsync(10_000);
  expect(link.state.value).toEqual({ is: "open", silent: true });
  sockets[0]?.tell("message");
  expect(link.state.value).toEqual({ is: "open" });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(link.state.value).toEqual({ is: "open" });
  for (let typed = 0; typed < 3; typed += 1) {
    link.expectAnswer();
    await vi.advanceTimersByTimeAsync(4000);
  }
  expect(link.state.value).toEqual({ is: "open", silent: true });
  sockets[0]?.tell("message");
  link.expectAnswer();
  sockets[0]?.tell("message");
  await vi.advanceTimersByTimeAsync(60_000);
  expect(link.state.value).toEqual({ is: "open" });
});

it("does nothing more once it is closed", async () => {
  const { sockets, ask, link } = world();
  await link.open();
  link.close();
  expect(sockets[0]?.closed).toBe(true);
  sockets[0]?.tell("close");
  await vi.advanceTimersByTimeAsync(20000);
  expect(ask).toHaveBeenCalledTimes(1);
});

it("says why it ended", () => {
  expect(reason(FORBIDDEN, true)).toMatch(/permission/);
  expect(reason(ENDED, true)).toMatch(/VM/);
  expect(reason(LOST, true)).toMatch(/host/);
  expect(reason(1006, true)).toMatch(/lost/);
  expect(reason(1006, false)).toMatch(/could not/);
});
