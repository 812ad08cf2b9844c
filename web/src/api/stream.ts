/** The stream of events, once for all tabs that listen: what it told is held, so that who comes later has it at once. */
import { at } from "./base";
import { type Change, ObjectStore } from "./objects";
import type { BrowserSession, InitialState } from "./schema";

const EVENT_NAMES = ["snapshot", "set", "gone", "changed"] as const;
export type EventName = (typeof EVENT_NAMES)[number];

/** `silent`: the server does not respond, though the connection stands. `lost`: there is none, and another one is tried. */
export type Connection = "live" | "silent" | "lost";

/** `event`: one of the stream, its data as JSON. `check session`: it may be over or another user's; check, then join again. */
export type StreamMessage =
  | { is: "event"; event: EventName; data: string }
  | { is: "connection"; connection: Connection }
  | { is: "check session" };
/** Somebody who listens: a tab. */
export type Listener = (message: StreamMessage) => void;

/** What is used of an `EventSource`. */
export interface Source {
  addEventListener(event: string, listener: (event: Event) => void): void;
  close(): void;
}

export interface Server {
  /** The events after the one with that id; all that is there, where that is "". */
  open(last: string): Source;
  /** The uid of who is signed in; undefined: nobody is. Raises when the server does not answer. */
  signedInUid(): Promise<number | undefined>;
}

/** Milliseconds. */
export const RETRY_MS = 1500;
/** In which the server has to answer: nothing else ends a connection by which it does not. */
export const OPEN_LIMIT_MS = 30_000;
/** Without any event, after which the server is asked whether it responds: it sends `alive` every 15 seconds. */
export const QUIET_MS = 17_000;
/** For its answer, after which it counts as silent. */
export const ANSWER_MS = 5_000;
/** Without any event, after which a connection counts as lost. */
export const SILENCE_MS = 45_000;

/** There is a connection only while somebody listens. What one user may see is told to nobody who is another one. */
export class Stream {
  private readonly tabs = new Map<Listener, number>();
  /** Whose stream it is. */
  private owner: number | undefined;
  private objects: ObjectStore | undefined;
  private source: Source | undefined;
  private last = "";
  private connection: Connection | undefined;
  /** Of the next try, or of the one under way. */
  private timer: ReturnType<typeof setTimeout> | undefined;
  /** Until the server counts as silent, while it is asked whether it responds. */
  private asking: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly server: Server) {}

  /** Tell what is there and all that changes to a tab of this user. To join twice does no harm. */
  join(tab: Listener, uid: number): void {
    this.tabs.set(tab, uid);
    if (uid !== this.owner) this.begin(uid);
    else if (this.objects) tab({ is: "event", event: "snapshot", data: JSON.stringify(this.objects.snapshot()) });
    const { connection } = this;
    if (connection !== undefined && connection !== "live") tab({ is: "connection", connection });
  }

  leave(tab: Listener): void {
    this.tabs.delete(tab);
    if (this.tabs.size === 0) this.reset();
  }

  /** Does the server respond? Where the answer is late, the tabs are told; it is waited for as long as for a connection. */
  async check(): Promise<void> {
    const { source } = this;
    if (!source || this.asking !== undefined) return;
    const asking = setTimeout(() => this.tell("silent"), ANSWER_MS);
    this.asking = asking;
    const uid = await this.server.signedInUid().catch(() => "no answer" as const);
    if (this.asking !== asking) return; // it was heard, or begun anew
    this.stopAsking();
    if (uid === "no answer") this.reconnect();
    else if (uid !== this.owner) this.end();
    else this.answered();
  }

  private begin(uid: number): void {
    this.reset();
    this.owner = uid;
    for (const [tab, theirs] of this.tabs) if (theirs !== uid) tab({ is: "check session" });
    this.open();
  }

  /** The session is over, or another user's: nothing of it is kept. Those who listen look whose it is. */
  private end(): void {
    this.reset();
    for (const tab of this.tabs.keys()) tab({ is: "check session" });
  }

  private reset(): void {
    this.close();
    this.owner = undefined;
    this.objects = undefined;
    this.last = "";
    this.connection = undefined;
  }

  private close(): void {
    clearTimeout(this.timer);
    this.stopAsking();
    this.source?.close();
    this.source = undefined;
  }

  private open(): void {
    this.close();
    const source = this.server.open(this.last);
    this.source = source;
    this.timer = setTimeout(() => this.reconnect(), OPEN_LIMIT_MS);
    const on = (event: string, listener: (message: MessageEvent<string>) => void) =>
      source.addEventListener(event, (message) => {
        if (this.source === source) listener(message as MessageEvent<string>);
      });
    on("open", () => this.connected());
    for (const event of EVENT_NAMES) on(event, (message) => this.receive(event, message));
    on("alive", ({ lastEventId }) => this.heard(lastEventId));
    on("bye", () => this.comeBack());
    on("error", () => this.reconnect());
  }

  private receive(event: EventName, { data, lastEventId }: MessageEvent<string>): void {
    this.heard(lastEventId);
    if (event === "set" || event === "gone") this.objects?.apply(JSON.parse(data) as Change);
    if (event === "snapshot") {
      const snapshot = JSON.parse(data) as InitialState;
      if (snapshot.me.uid !== this.owner) {
        this.end();
        return;
      }
      this.objects = new ObjectStore(snapshot);
    }
    this.broadcast({ is: "event", event, data });
  }

  private connected(): void {
    this.tell("live");
    this.heard("");
  }

  private heard(lastEventId: string): void {
    if (lastEventId) this.last = lastEventId;
    this.answered();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.quiet(), QUIET_MS);
  }

  private quiet(): void {
    this.timer = setTimeout(() => this.reconnect(), SILENCE_MS - QUIET_MS);
    void this.check();
  }

  /** The server responds, by whatever way. */
  private answered(): void {
    this.stopAsking();
    if (this.connection === "silent") this.tell("live");
  }

  private stopAsking(): void {
    clearTimeout(this.asking);
    this.asking = undefined;
  }

  private tell(connection: Connection): void {
    this.connection = connection;
    this.broadcast({ is: "connection", connection });
  }

  private broadcast(message: StreamMessage): void {
    for (const [tab, uid] of this.tabs) if (uid === this.owner) tab(message);
  }

  private reconnect(): void {
    this.tell("lost");
    this.comeBack();
  }

  /** What the server ends by itself, as with a session, is lost only if nothing answers a moment later. */
  private comeBack(): void {
    this.close();
    const timer = setTimeout(() => void this.resume(timer), RETRY_MS);
    this.timer = timer;
  }

  /** Only the owner of what is held goes on after the last event. */
  private async resume(timer: typeof this.timer): Promise<void> {
    const uid = await this.server.signedInUid().catch(() => "no answer" as const);
    if (this.timer !== timer || this.source || this.owner === undefined) return; // somebody has begun it anew
    if (uid === "no answer") this.reconnect();
    else if (uid === this.owner) this.open();
    else this.end();
  }
}

export const server: Server = {
  open: (last) => new EventSource(at(`/v/events${last && `?last=${encodeURIComponent(last)}`}`)),
  async signedInUid() {
    const response = await fetch(at("/u/session"), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
      signal: AbortSignal.timeout(OPEN_LIMIT_MS),
    });
    if (response.status === 401) return undefined;
    if (!response.ok) throw new Error(String(response.status));
    return ((await response.json()) as BrowserSession).uid;
  },
};
