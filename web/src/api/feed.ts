/** How this tab receives the stream of events: through the worker that all tabs share, or by itself where there is none. */

import { HEARTBEAT_MS, type TabMessage, type WorkerMessage } from "./messages";
import { type Listener, type Server, Stream, server } from "./stream";
import { UPLOADS_AT_ONCE } from "./uploadSlots";

export interface WorkerConnection {
  send(message: TabMessage): void;
  close(): void;
}
/** `failed` is called when there will be no worker. */
export type Connect = (listener: (message: WorkerMessage) => void, failed: () => void) => WorkerConnection | undefined;

/** Milliseconds without a sign of life after which another worker is asked for: nothing tells a tab that it ended. */
export const HEARTBEAT_TIMEOUT_MS = 20_000;

export class Feed {
  /** Uploads that this tab may have under way. */
  allowedUploads = 0;
  /** Called when `allowedUploads` has changed. */
  onUploadSlots: () => void = () => undefined;
  private worker: WorkerConnection | undefined;
  private ownStream: Stream | undefined;
  private uid: number | undefined;
  private wanted = 0;
  private answered = false;
  private lastHeartbeat = 0;
  private watch: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly listener: Listener,
    private readonly connect: Connect = toWorker,
    private readonly from: Server = server,
  ) {
    this.open();
    addEventListener("pagehide", () => this.disconnect());
    addEventListener("pageshow", (event) => {
      // Back from where the browser keeps pages: who is signed in may be another one.
      if (event.persisted && this.uid !== undefined) this.listener({ is: "check session" });
    });
  }

  /** Listen to what this user may see, from now on. To join again brings a snapshot. */
  join(uid: number): void {
    this.uid = uid;
    if (!this.worker && !this.ownStream) this.open();
    this.ownStream?.join(this.listener, uid);
    this.worker?.send({ is: "join", uid });
    if (this.ownStream || this.watch !== undefined) return;
    this.lastHeartbeat = performance.now();
    this.watch = setInterval(() => this.checkHeartbeat(), HEARTBEAT_MS);
  }

  leave(): void {
    this.uid = undefined;
    this.disconnect();
  }

  /** A request waits: does the server respond? */
  check(): void {
    void this.ownStream?.check();
    this.worker?.send({ is: "check" });
  }

  /** So many uploads are under way or wait for their turn. */
  requestUploads(wanted: number): void {
    this.wanted = wanted;
    if (this.ownStream) this.allow(Math.min(UPLOADS_AT_ONCE, wanted));
    else this.worker?.send({ is: "uploads", wanted });
  }

  private allow(allowedUploads: number): void {
    if (allowedUploads === this.allowedUploads) return;
    this.allowedUploads = allowedUploads;
    this.onUploadSlots();
  }

  private open(): void {
    const worker = this.connect(
      (message) => this.worker === worker && this.receive(message),
      () => this.worker === worker && this.openOwnStream(),
    );
    this.worker = worker;
    this.lastHeartbeat = performance.now();
    if (!worker) this.openOwnStream();
  }

  private receive(message: WorkerMessage): void {
    this.answered = true;
    this.lastHeartbeat = performance.now();
    if (message.is === "upload slots") this.allow(message.may);
    else if (message.is !== "heartbeat") this.listener(message);
  }

  private checkHeartbeat(): void {
    const silent = performance.now() - this.lastHeartbeat;
    if (silent > HEARTBEAT_TIMEOUT_MS && this.answered) this.reopen();
    else if (silent > HEARTBEAT_TIMEOUT_MS) this.openOwnStream();
    else if (this.wanted > 0) this.requestUploads(this.wanted);
  }

  private disconnect(): void {
    clearInterval(this.watch);
    this.watch = undefined;
    this.ownStream?.leave(this.listener);
    this.worker?.send({ is: "leave" });
    this.worker?.close();
    this.worker = undefined;
  }

  private reopen(): void {
    this.disconnect();
    this.open();
    this.rejoin();
  }

  private openOwnStream(): void {
    this.disconnect();
    this.ownStream = new Stream(this.from);
    this.rejoin();
  }

  private rejoin(): void {
    if (this.uid !== undefined) this.join(this.uid);
    if (this.wanted > 0) this.requestUploads(this.wanted);
  }
}

/**
 * There are no shared workers in some browsers (Chrome for Android). Tabs of different versions of the page never share
 * one: the file's name has the hash of what is in it.
 */
export const toWorker: Connect = (listener, failed) => {
  if (typeof SharedWorker === "undefined") return undefined;
  try {
    const worker = new SharedWorker(new URL("./worker.ts", import.meta.url), { type: "module", name: "velocity" });
    const { port } = worker;
    worker.onerror = failed;
    port.onmessage = ({ data }: MessageEvent<WorkerMessage>) => listener(data);
    return {
      send: (message) => port.postMessage(message),
      close: () => port.close(),
    };
  } catch {
    return undefined; // the browser was told to keep nothing
  }
};
