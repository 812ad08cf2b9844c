import { afterEach, beforeEach, expect, it, vi } from "vitest";

const page = vi.hoisted(() => {
  const events = new EventTarget();
  vi.stubGlobal("addEventListener", events.addEventListener.bind(events));
  return events;
});

import { Feed, SILENT } from "./feed";
import type { News, Server } from "./stream";
import { AT_ONCE } from "./turns";
import { type Asked, BEAT, type Word } from "./words";

const ANN = 1;

/** The workers, or ports to the same one, that the tab got; how many streams it has itself. */
function world({ workers = true } = {}) {
  const lines: { asked: Asked[]; closed: boolean; say: (word: Word) => void; fail: () => void }[] = [];
  const heard: News[] = [];
  const own = { streams: 0 };
  const server: Server = {
    open: () => {
      own.streams += 1;
      return { addEventListener: () => undefined, close: () => Object.assign(own, { streams: own.streams - 1 }) };
    },
    whose: async () => ANN,
  };
  const feed = new Feed(
    (news) => heard.push(news),
    (hear, failed) => {
      if (!workers) return undefined;
      const line = { asked: [] as Asked[], closed: false, say: hear, fail: failed };
      lines.push(line);
      return { tell: (asked) => void line.asked.push(asked), close: () => Object.assign(line, { closed: true }) };
    },
    server,
  );
  return { feed, lines, heard, own };
}

const NEWS: News = { is: "connection", connection: "live" };
const JOIN: Asked = { is: "join", uid: ANN };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("hears the worker, and has no stream itself", () => {
  const { feed, lines, heard, own } = world();
  feed.join(ANN);
  lines[0]?.say({ is: "beat" });
  lines[0]?.say(NEWS);
  expect([lines[0]?.asked, heard, own.streams]).toEqual([[JOIN], [NEWS], 0]);
});

it("asks for another worker when one that spoke is silent, and hears the old one no more", () => {
  const { feed, lines, heard, own } = world();
  feed.join(ANN);
  for (let passed = 0; passed < 10 * SILENT; passed += BEAT) {
    lines[0]?.say({ is: "beat" });
    vi.advanceTimersByTime(BEAT);
  }
  expect(lines).toHaveLength(1);
  vi.advanceTimersByTime(SILENT + BEAT);
  expect(lines).toHaveLength(2);
  expect(lines[0]?.closed).toBe(true);
  expect(lines[1]?.asked).toEqual([JOIN]);
  lines[0]?.say(NEWS);
  expect(heard).toEqual([]);
  lines[1]?.say(NEWS);
  expect(heard).toEqual([NEWS]);
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
  vi.advanceTimersByTime(SILENT + BEAT);
  for (const { feed, own, lines } of [none, broken, mute]) {
    expect(own.streams).toBe(1);
    expect(lines.every((one) => one.closed)).toBe(true);
    feed.want(5);
    expect(feed.may).toBe(AT_ONCE);
    feed.leave();
    expect(own.streams).toBe(0);
  }
});

it("lets go when the page is put away, and looks who is signed in when it is back", () => {
  const { feed, lines, heard } = world();
  feed.join(ANN);
  page.dispatchEvent(new Event("pagehide"));
  expect(lines[0]?.asked.at(-1)).toEqual({ is: "leave" });
  vi.advanceTimersByTime(10 * SILENT);
  expect(lines).toHaveLength(1);
  page.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  expect(heard).toEqual([{ is: "look" }]);
  feed.join(ANN);
  expect(lines[1]?.asked).toEqual([JOIN]);
});

it("says again what it wants to upload, and goes on when it is its turn", () => {
  const { feed, lines } = world();
  const turns: number[] = [];
  feed.turn = () => turns.push(feed.may);
  feed.join(ANN);
  feed.want(3);
  lines[0]?.say({ is: "turn", may: 0 });
  vi.advanceTimersByTime(BEAT);
  lines[0]?.say({ is: "turn", may: 2 });
  lines[0]?.say({ is: "turn", may: 2 });
  const wish: Asked = { is: "uploads", wanted: 3 };
  expect(lines[0]?.asked).toEqual([JOIN, wish, wish]);
  expect(turns).toEqual([2]);
});
