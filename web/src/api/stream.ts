/** The stream of events, once for all tabs that listen: what it told is held, so that who comes later has it at once. */
import { type Change, Held } from "./objects";
import type { BrowserSession, Snapshot } from "./schema";

const TOLD = ["snapshot", "set", "gone", "changed"] as const;
export type Told = (typeof TOLD)[number];

/** `told`: an event and its data, as JSON. `look`: the session may be over or another user's; look, then join again. */
export type News =
  | { is: "told"; event: Told; data: string }
  | { is: "connection"; connection: "live" | "lost" }
  | { is: "look" };
/** Somebody who listens: a tab. */
export type Hear = (news: News) => void;

/** What is used of an `EventSource`. */
export interface Source {
  addEventListener(event: string, hear: (event: Event) => void): void;
  close(): void;
}

export interface Server {
  /** The events after the one with that id; all that is there, where that is "". */
  open(last: string): Source;
  /** The uid of who is signed in; undefined: nobody is. Raises when the server does not answer. */
  whose(): Promise<number | undefined>;
}

/** Milliseconds. */
export const RETRY = 1500;

/** There is a connection only while somebody listens. What one user may see is told to nobody who is another one. */
export class Stream {
  private readonly tabs = new Map<Hear, number>();
  /** Whose stream it is. */
  private owner: number | undefined;
  private held: Held | undefined;
  private source: Source | undefined;
  private last = "";
  private lost = false;
  private retry: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly server: Server) {}

  /** Tell what is there and all that changes to a tab of this user. To join twice does no harm. */
  join(tab: Hear, uid: number): void {
    this.tabs.set(tab, uid);
    if (uid !== this.owner) this.begin(uid);
    else if (this.held) tab({ is: "told", event: "snapshot", data: JSON.stringify(this.held.snapshot()) });
    if (this.lost) tab({ is: "connection", connection: "lost" });
  }

  leave(tab: Hear): void {
    this.tabs.delete(tab);
    if (this.tabs.size === 0) this.drop();
  }

  private begin(uid: number): void {
    this.drop();
    this.owner = uid;
    for (const [tab, theirs] of this.tabs) if (theirs !== uid) tab({ is: "look" });
    this.open();
  }

  /** The session is over, or another user's: nothing of it is kept. Those who listen look whose it is. */
  private end(): void {
    this.drop();
    for (const tab of this.tabs.keys()) tab({ is: "look" });
  }

  private drop(): void {
    this.close();
    this.owner = undefined;
    this.held = undefined;
    this.last = "";
    this.lost = false;
  }

  private close(): void {
    clearTimeout(this.retry);
    this.source?.close();
    this.source = undefined;
  }

  private open(): void {
    this.close();
    const source = this.server.open(this.last);
    this.source = source;
    const on = (event: string, hear: (message: MessageEvent<string>) => void) =>
      source.addEventListener(event, (message) => {
        if (this.source === source) hear(message as MessageEvent<string>);
      });
    on("open", () => this.connected());
    for (const event of TOLD) on(event, (message) => this.take(event, message));
    on("bye", () => this.again());
    on("error", () => this.again());
  }

  private take(event: Told, { data, lastEventId }: MessageEvent<string>): void {
    if (lastEventId) this.last = lastEventId;
    if (event === "set" || event === "gone") this.held?.take(JSON.parse(data) as Change);
    if (event === "snapshot") {
      const snapshot = JSON.parse(data) as Snapshot;
      if (snapshot.me.uid !== this.owner) {
        this.end();
        return;
      }
      this.held = new Held(snapshot);
    }
    this.tell({ is: "told", event, data });
  }

  private connected(): void {
    this.lost = false;
    this.tell({ is: "connection", connection: "live" });
  }

  private tell(news: News): void {
    for (const [tab, uid] of this.tabs) if (uid === this.owner) tab(news);
  }

  private again(): void {
    this.close();
    this.lost = true;
    this.tell({ is: "connection", connection: "lost" });
    const retry = setTimeout(() => void this.resume(retry), RETRY);
    this.retry = retry;
  }

  /** Only the owner of what is held goes on after the last event. */
  private async resume(retry: typeof this.retry): Promise<void> {
    const uid = await this.server.whose().catch(() => "no answer" as const);
    if (this.retry !== retry || this.source || this.owner === undefined) return; // somebody has begun it anew
    if (uid === "no answer") this.again();
    else if (uid === this.owner) this.open();
    else this.end();
  }
}

export const server: Server = {
  open: (last) => new EventSource(`/v/events${last && `?last=${encodeURIComponent(last)}`}`),
  async whose() {
    const response = await fetch("/u/session", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    if (response.status === 401) return undefined;
    if (!response.ok) throw new Error(String(response.status));
    return ((await response.json()) as BrowserSession).uid;
  },
};
