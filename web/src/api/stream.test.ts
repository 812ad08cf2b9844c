import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { SetObject } from "./objects";
import type { Gone, InitialState } from "./schema";
import {
  ANSWER_MS,
  OPEN_LIMIT_MS,
  QUIET_MS,
  RETRY_MS,
  type Server,
  SILENCE_MS,
  Stream,
  type StreamMessage,
} from "./stream";

const ANN = 1;
const BEN = 2;

class FakeSource extends EventTarget {
  closed = false;
  constructor(readonly last: string) {
    super();
  }
  close() {
    this.closed = true;
  }
  tell(event: string, data: object = {}, lastEventId = "") {
    this.dispatchEvent(Object.assign(new Event(event), { data: JSON.stringify(data), lastEventId }));
  }
}

/** `who` is signed in; "away": no server answers; "silent": it does only when `answer` is called. */
class World implements Server {
  sources: FakeSource[] = [];
  who: number | undefined | "away" | "silent" = ANN;
  answer: () => void = () => undefined;
  open(last: string) {
    const source = new FakeSource(last);
    this.sources.push(source);
    return source;
  }
  async signedInUid() {
    if (this.who === "away") throw new Error("away");
    if (this.who === "silent")
      return new Promise<number>((resolve) => Object.assign(this, { answer: () => resolve(ANN) }));
    return this.who;
  }
  get now(): FakeSource {
    return this.sources.at(-1) as FakeSource;
  }
  get connections(): number {
    return this.sources.filter((one) => !one.closed).length;
  }
}

const group = (gid: number, name = "") => ({ gid, parent_gid: 0, name, permissions: [] });
const snapshot = (uid: number, ...groups: number[]): InitialState => ({
  me: { uid, name: String(uid) },
  vms: [],
  media: [],
  groups: groups.map((gid) => group(gid)),
  tasks: [],
  pools: [],
});

/** A tab: what it shows of groups by what it was told, and the messages. */
function tab() {
  const messages: StreamMessage[] = [];
  const groups = new Map<number, string>();
  const listener = (one: StreamMessage) => {
    messages.push(one);
    if (one.is !== "event") return;
    const told = JSON.parse(one.data);
    if (one.event === "snapshot") {
      groups.clear();
      for (const { gid, name } of (told as InitialState).groups) groups.set(gid, name);
    }
    if (one.event === "set")
      groups.set((told as SetObject<"group">).object.gid, (told as SetObject<"group">).object.name);
    if (one.event === "gone") groups.delete((told as Gone).id as number);
  };
  return { listener, messages, groups };
}

const LOOK: StreamMessage = { is: "check session" };
const LIVE: StreamMessage = { is: "connection", connection: "live" };
const SILENT: StreamMessage = { is: "connection", connection: "silent" };
const LOST: StreamMessage = { is: "connection", connection: "lost" };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("is one for all tabs, and a later tab has at once what the others have", () => {
  const world = new World();
  const stream = new Stream(world);
  const [one, two] = [tab(), tab()];
  stream.join(one.listener, ANN);
  world.now.tell("snapshot", snapshot(ANN, 1, 2, 3));
  world.now.tell("set", { kind: "group", object: group(2, "renamed") });
  world.now.tell("gone", { kind: "group", id: 3 });
  stream.join(two.listener, ANN);
  expect([...two.groups]).toEqual([
    [1, ""],
    [2, "renamed"],
  ]);
  world.now.tell("set", { kind: "group", object: group(4, "new") });
  expect(two.groups).toEqual(one.groups);
  expect(world.sources).toHaveLength(1);
});

it("goes on where it was after a cut, while tabs come and go, and tells nothing twice", async () => {
  const world = new World();
  const stream = new Stream(world);
  const [first, other] = [tab(), tab()];
  stream.join(first.listener, ANN);
  stream.join(other.listener, ANN);
  world.now.tell("snapshot", snapshot(ANN, 1), "i-7");
  world.now.tell("error");
  stream.leave(first.listener);
  expect(other.messages.at(-1)).toEqual(LOST);
  const late = tab();
  stream.join(late.listener, ANN);
  expect(late.groups).toEqual(other.groups);
  expect(late.messages.at(-1)).toEqual(LOST);
  await vi.advanceTimersByTimeAsync(RETRY_MS);
  expect(world.now.last).toBe("i-7");
  world.now.tell("open");
  for (const one of [other, late]) expect(one.messages.at(-1)).toEqual({ is: "connection", connection: "live" });
  world.sources[0]?.tell("set", { kind: "group", object: group(9, "late, of the old connection") });
  expect(other.groups.has(9)).toBe(false);
  expect(world.connections).toBe(1);
});

it("takes a connection that has become silent for lost, and goes on where nothing was missed", async () => {
  const world = new World();
  const stream = new Stream(world);
  const one = tab();
  stream.join(one.listener, ANN);
  world.now.tell("open");
  world.now.tell("snapshot", snapshot(ANN), "i-7");
  for (const id of ["i-8", "i-9"]) {
    await vi.advanceTimersByTimeAsync(SILENCE_MS - 1);
    world.now.tell("alive", {}, id);
  }
  expect(one.messages).not.toContainEqual(LOST);
  await vi.advanceTimersByTimeAsync(SILENCE_MS);
  expect(one.messages.at(-1)).toEqual(LOST);
  await vi.advanceTimersByTimeAsync(RETRY_MS);
  expect(world.sources.map((source) => source.last)).toEqual(["", "i-9"]);
  expect(world.connections).toBe(1);
});

it("says that the server is silent soon after it was to be heard, until it is heard again", async () => {
  const world = new World();
  const stream = new Stream(world);
  const [one, late] = [tab(), tab()];
  stream.join(one.listener, ANN);
  world.now.tell("open");
  world.now.tell("snapshot", snapshot(ANN), "i-7");
  await vi.advanceTimersByTimeAsync(QUIET_MS + ANSWER_MS);
  expect(one.messages, "it answers, though nothing comes").not.toContainEqual(SILENT);
  world.now.tell("alive");
  world.who = "silent";
  await vi.advanceTimersByTimeAsync(QUIET_MS + ANSWER_MS);
  stream.join(late.listener, ANN);
  for (const { messages } of [one, late]) expect(messages.at(-1)).toEqual(SILENT);
  world.now.tell("alive");
  for (const { messages } of [one, late]) expect(messages.at(-1)).toEqual(LIVE);
  expect(world.sources).toHaveLength(1);
});

it("asks at once where a request waits, and takes the answer for a sign of life", async () => {
  const world = new World();
  const stream = new Stream(world);
  const one = tab();
  stream.join(one.listener, ANN);
  world.now.tell("open");
  void stream.check();
  await vi.advanceTimersByTimeAsync(ANSWER_MS);
  world.who = "silent";
  void stream.check();
  await vi.advanceTimersByTimeAsync(ANSWER_MS - 1);
  expect(one.messages).toEqual([LIVE]);
  void stream.check();
  await vi.advanceTimersByTimeAsync(1);
  expect(one.messages).toEqual([LIVE, SILENT]);
  world.answer();
  await vi.advanceTimersByTimeAsync(0);
  expect(one.messages).toEqual([LIVE, SILENT, LIVE]);
  world.who = "away";
  void stream.check();
  await vi.advanceTimersByTimeAsync(0);
  expect(one.messages.at(-1)).toEqual(LOST);
});

it("tries again for as long as no server answers", async () => {
  const world = new World();
  const stream = new Stream(world);
  const one = tab();
  stream.join(one.listener, ANN);
  world.who = "away";
  world.now.tell("bye");
  expect(one.messages, "a session that ends with a new password is no lost connection").toEqual([]);
  await vi.advanceTimersByTimeAsync(RETRY_MS);
  expect(one.messages).toEqual([LOST]);
  await vi.advanceTimersByTimeAsync(10 * RETRY_MS);
  expect(world.sources).toHaveLength(1);
  world.who = ANN;
  await vi.advanceTimersByTimeAsync(RETRY_MS);
  expect(world.connections).toBe(1);
});

it("counts a connection by which nothing is answered as lost, and tries again", async () => {
  const world = new World();
  const stream = new Stream(world);
  const one = tab();
  stream.join(one.listener, ANN);
  await vi.advanceTimersByTimeAsync(OPEN_LIMIT_MS);
  expect(one.messages).toEqual([LOST]);
  await vi.advanceTimersByTimeAsync(RETRY_MS);
  expect(world.connections).toBe(1);
  world.now.tell("open");
  for (let times = 0; times < 10; times += 1) {
    await vi.advanceTimersByTimeAsync(OPEN_LIMIT_MS);
    world.now.tell("alive");
  }
  expect(world.sources, "one that is open and alive has no limit").toHaveLength(2);
});

it("keeps nothing of a session that has ended, and begins anew for who joins", async () => {
  const world = new World();
  const stream = new Stream(world);
  const one = tab();
  stream.join(one.listener, ANN);
  world.now.tell("snapshot", snapshot(ANN, 1), "i-7");
  world.who = undefined;
  world.now.tell("bye");
  await vi.advanceTimersByTimeAsync(10 * RETRY_MS);
  expect(one.messages.at(-1)).toEqual(LOOK);
  expect(world.connections).toBe(0);
  world.who = ANN;
  stream.join(one.listener, ANN);
  expect(world.now.last).toBe("");
  expect(world.connections).toBe(1);
});

it("tells another user nothing of the former one, whoever notices first", async () => {
  for (const notices of ["the new tab", "the stream", "the snapshot"]) {
    const world = new World();
    const stream = new Stream(world);
    const [anns, bens] = [tab(), tab()];
    stream.join(anns.listener, ANN);
    if (notices !== "the snapshot") world.now.tell("snapshot", snapshot(ANN, 1), "i-7");
    world.who = BEN;
    if (notices === "the stream") world.now.tell("bye");
    if (notices === "the snapshot") world.now.tell("snapshot", snapshot(BEN, 2));
    await vi.advanceTimersByTimeAsync(RETRY_MS);
    stream.join(bens.listener, BEN);
    expect(anns.messages.at(-1), notices).toEqual(LOOK);
    expect(bens.messages, notices).toEqual([]);
    expect(world.now.last).toBe("");
    world.now.tell("snapshot", snapshot(BEN, 2));
    world.now.tell("set", { kind: "group", object: group(3) });
    expect([...bens.groups.keys()], notices).toEqual([2, 3]);
    expect(anns.groups.has(2) || anns.groups.has(3), notices).toBe(false);
    expect(world.connections).toBe(1);
  }
});

it("is closed when nobody listens", async () => {
  const world = new World();
  const stream = new Stream(world);
  const one = tab();
  stream.join(one.listener, ANN);
  world.now.tell("error");
  stream.leave(one.listener);
  await vi.advanceTimersByTimeAsync(10 * RETRY_MS);
  expect(world.connections).toBe(0);
});
