/** How this tab hears the stream of events: through the worker that all tabs share, or by itself where there is none. */
import { type Hear, type Server, Stream, server } from "./stream";
import { AT_ONCE } from "./turns";
import { type Asked, BEAT, type Word } from "./words";

export interface Line {
  tell(asked: Asked): void;
  close(): void;
}
/** `failed` is called when there will be no worker. */
export type Connect = (hear: (word: Word) => void, failed: () => void) => Line | undefined;

/** Milliseconds without a sign of life after which another worker is asked for: nothing tells a tab that it ended. */
export const SILENT = 20_000;

export class Feed {
  /** Uploads that this tab may have under way. */
  may = 0;
  /** Called when `may` has changed. */
  turn: () => void = () => undefined;
  private line: Line | undefined;
  private alone: Stream | undefined;
  private uid: number | undefined;
  private wanted = 0;
  private greeted = false;
  private heard = 0;
  private watch: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly hear: Hear,
    private readonly connect: Connect = toWorker,
    private readonly from: Server = server,
  ) {
    this.open();
    addEventListener("pagehide", () => this.rest());
    addEventListener("pageshow", (event) => {
      // Back from where the browser keeps pages: who is signed in may be another one.
      if (event.persisted && this.uid !== undefined) this.hear({ is: "look" });
    });
  }

  /** Hear what this user may see, from now on. To join again brings a snapshot. */
  join(uid: number): void {
    this.uid = uid;
    if (!this.line && !this.alone) this.open();
    this.alone?.join(this.hear, uid);
    this.line?.tell({ is: "join", uid });
    if (this.alone || this.watch !== undefined) return;
    this.heard = performance.now();
    this.watch = setInterval(() => this.look(), BEAT);
  }

  leave(): void {
    this.uid = undefined;
    this.rest();
  }

  /** So many uploads are under way or wait for their turn. */
  want(wanted: number): void {
    this.wanted = wanted;
    if (this.alone) this.allow(Math.min(AT_ONCE, wanted));
    else this.line?.tell({ is: "uploads", wanted });
  }

  private allow(may: number): void {
    if (may === this.may) return;
    this.may = may;
    this.turn();
  }

  private open(): void {
    const line = this.connect(
      (word) => this.line === line && this.take(word),
      () => this.line === line && this.goAlone(),
    );
    this.line = line;
    this.heard = performance.now();
    if (!line) this.goAlone();
  }

  private take(word: Word): void {
    this.greeted = true;
    this.heard = performance.now();
    if (word.is === "turn") this.allow(word.may);
    else if (word.is !== "beat") this.hear(word);
  }

  private look(): void {
    const silent = performance.now() - this.heard;
    if (silent > SILENT && this.greeted) this.reopen();
    else if (silent > SILENT) this.goAlone();
    else if (this.wanted > 0) this.want(this.wanted);
  }

  private rest(): void {
    clearInterval(this.watch);
    this.watch = undefined;
    this.alone?.leave(this.hear);
    this.line?.tell({ is: "leave" });
    this.line?.close();
    this.line = undefined;
  }

  private reopen(): void {
    this.rest();
    this.open();
    this.goOn();
  }

  private goAlone(): void {
    this.rest();
    this.alone = new Stream(this.from);
    this.goOn();
  }

  private goOn(): void {
    if (this.uid !== undefined) this.join(this.uid);
    if (this.wanted > 0) this.want(this.wanted);
  }
}

/**
 * There are no shared workers in some browsers (Chrome for Android). Tabs of different versions of the page never share
 * one: the file's name has the hash of what is in it.
 */
export const toWorker: Connect = (hear, failed) => {
  if (typeof SharedWorker === "undefined") return undefined;
  try {
    const worker = new SharedWorker(new URL("./worker.ts", import.meta.url), { type: "module", name: "velocity" });
    const { port } = worker;
    worker.onerror = failed;
    port.onmessage = ({ data }: MessageEvent<Word>) => hear(data);
    return {
      tell: (asked) => port.postMessage(asked),
      close: () => port.close(),
    };
  } catch {
    return undefined; // the browser was told to keep nothing
  }
};
