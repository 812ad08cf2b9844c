import { afterEach, beforeEach, expect, it, vi } from "vitest";

const page = vi.hoisted(() => {
  const events = new EventTarget();
  vi.stubGlobal("addEventListener", events.addEventListener.bind(events));
  return events;
});

import { Feed, HEARTBEAT_TIMEOUT_MS } from "./feed";
import { HEARTBEAT_MS, type TabMessage, type WorkerMessage } from "./messages";
import type { Server, StreamMessage } from "./stream";
import { UPLOADS_AT_ONCE } from "./uploadSlots";

const ANN = 1;

/** The workers, or ports to the same one, that the tab got; how many streams it has itself. */
function world({ workers = true } = {}) {
  const lines: { asked: TabMessage[]; closed: boolean; say: (word: WorkerMessage) => void; fail: () => void }[] = [];
  const received: StreamMessage[] = [];
  const own = { streams: 0 };
  const server: Server = {
    open: () => {
      own.streams += 1;
      return { addEventListener: () => undefined, close: () => Object.assign(own, { streams: own.streams - 1 }) };
    },
    signedInUid: async () => ANN,
  };
  const feed = new Feed(
    (messages) => received.push(messages),
    (listener, failed) => {
      if (!workers) return undefined;
      const line = { asked: [] as TabMessage[], closed: false, say: listener, fail: failed };
      lines.push(line);
      return {
        send: (asked: TabMessage) => void line.asked.push(asked),
        close: () => Object.assign(line, { closed: true }),
      };
    },
    server,
  );
  return { feed, lines, received, own };
}

const MESSAGE: StreamMessage = { is: "connection", connection: "live" };
const JOIN: TabMessage = { is: "join", uid: ANN };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("hears the worker, and has no stream itself", () => {
  const { feed, lines, received, own } = world();
  feed.join(ANN);
  lines[0]?.say({ is: "heartbeat" });
  lines[0]?.say(MESSAGE);
  expect([lines[0]?.asked, received, own.streams]).toEqual([[JOIN], [MESSAGE], 0]);
});

it("asks for another worker when one that spoke is silent, and hears the old one no more", () => {
  const { feed, lines, received, own } = world();
  feed.join(ANN);
  for (let passed = 0; passed < 10 * HEARTBEAT_TIMEOUT_MS; passed += HEARTBEAT_MS) {
    lines[0]?.say({ is: "heartbeat" });
    vi.advanceTimersByTime(HEARTBEAT_MS);
  }
  expect(lines).toHaveLength(1);
  vi.advanceTimersByTime(HEARTBEAT_TIMEOUT_MS + HEARTBEAT_MS);
  expect(lines).toHaveLength(2);
  expect(lines[0]?.closed).toBe(true);
  expect(lines[1]?.asked).toEqual([JOIN]);
  lines[0]?.say(MESSAGE);
  expect(received).toEqual([]);
  lines[1]?.say(MESSAGE);
  expect(received).toEqual([MESSAGE]);
  expect(own.streams).toBe(0);
});

it("has a stream itself where there are no workers, or none that loads or speaks", () => {
  const none = world({ workers: false });
  none.feed.join(ANN);
  const broken = world();
  broken.feed.join(ANN);
  broken.lines[0]?.fail();
  const mute = world();
  mute.feed.join(ANN);
  vi.advanceTimersByTime(HEARTBEAT_TIMEOUT_MS + HEARTBEAT_MS);
  for (const { feed, own, lines } of [none, broken, mute]) {
    expect(own.streams).toBe(1);
    expect(lines.every((one) => one.closed)).toBe(true);
    feed.requestUploads(5);
    expect(feed.allowedUploads).toBe(UPLOADS_AT_ONCE);
    feed.leave();
    expect(own.streams).toBe(0);
  }
});

it("lets go when the page is put away, and looks who is signed in when it is back", () => {
  const { feed, lines, received } = world();
  feed.join(ANN);
  page.dispatchEvent(new Event("pagehide"));
  expect(lines[0]?.asked.at(-1)).toEqual({ is: "leave" });
  vi.advanceTimersByTime(10 * HEARTBEAT_TIMEOUT_MS);
  expect(lines).toHaveLength(1);
  page.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  expect(received).toEqual([{ is: "check session" }]);
  feed.join(ANN);
  expect(lines[1]?.asked).toEqual([JOIN]);
});

it("says again what it wants to upload, and goes on when it is its turn", () => {
  const { feed, lines } = world();
  const slots: number[] = [];
  feed.onUploadSlots = () => slots.push(feed.allowedUploads);
  feed.join(ANN);
  feed.requestUploads(3);
  lines[0]?.say({ is: "upload slots", may: 0 });
  vi.advanceTimersByTime(HEARTBEAT_MS);
  lines[0]?.say({ is: "upload slots", may: 2 });
  lines[0]?.say({ is: "upload slots", may: 2 });
  const request: TabMessage = { is: "uploads", wanted: 3 };
  expect(lines[0]?.asked).toEqual([JOIN, request, request]);
  expect(slots).toEqual([2]);
});
