/** The uploads of this page: they go on while one is elsewhere on it. A reload ends them; the same file goes on then. */
import { useSyncExternalStore } from "react";
import { messageOf } from "./http";
import { live } from "./live";
import type { Content } from "./schema";
import { Signal } from "./signal";
import { Transfer, type Wanted } from "./transfer";
import { setUnsaved } from "./unsaved";

export type { Wanted } from "./transfer";

/**
 * `queued`: others are first. `waiting`: the connection broke, and it goes on by itself. `finishing`: all bytes have
 * come, and the server makes the medium. `failed` can be tried again.
 */
export type UploadState = "queued" | "sending" | "waiting" | "paused" | "finishing" | "done" | "failed";

export interface Upload {
  id: number;
  file: string;
  size: number;
  wanted: Wanted;
  state: UploadState;
  /** Bytes that are on their way or there. */
  sent: number;
  /** Bytes a second, lately; 0: not known. */
  speed: number;
  /** Seconds to go; absent: not known. */
  left?: number;
  /** What is to be known of its state: why it waits, or that it begins again. */
  note?: string;
  error?: Error;
  mid?: string;
  /** What the bytes turned out to be. */
  content?: Content;
}

/** Milliseconds between two repaints of the progress. */
const RENDER_INTERVAL_MS = 250;

interface Running {
  transfer: Transfer;
  /** Where the speed is measured from; `sent` is negative before the first byte, as it may go on in the middle. */
  mark: { at: number; sent: number };
}

class Uploads {
  readonly all = new Signal<readonly Upload[]>([]);
  private readonly running = new Map<number, Running>();
  private last = 0;

  constructor() {
    live.feed.onUploadSlots = () => this.next();
  }

  /** Begin to upload a file; its id here. */
  add(file: File, wanted: Wanted): number {
    const id = ++this.last;
    const before = new Set(live.list("medium").map((one) => one.mid));
    const transfer = new Transfer(file, wanted, {
      progress: (sent) => this.progress(id, sent),
      waiting: (why) =>
        this.set(id, { state: "waiting", speed: 0, left: undefined, note: `${why} It continues automatically.` }),
      again: () => this.set(id, { sent: 0, note: "The server was restarted, and the upload started again." }),
      done: (mid, content) => {
        this.end(id, { state: "done", sent: file.size, mid, content, note: undefined });
      },
      failed: (error) => this.end(id, { state: "failed", error, note: undefined }, true),
      find: () =>
        live
          .list("medium")
          .find(
            (one) =>
              !before.has(one.mid) &&
              one.gid === wanted.gid &&
              one.mpid === wanted.mpid &&
              one.name === wanted.name &&
              one.size === file.size,
          )?.mid,
    });
    this.running.set(id, { transfer, mark: { at: performance.now(), sent: -1 } });
    const upload: Upload = { id, file: file.name, size: file.size, wanted, state: "queued", sent: 0, speed: 0 };
    if (file.size === 0) {
      upload.state = "failed";
      upload.error = new Error("The file is empty.");
    }
    this.all.set([...this.all.value, upload]);
    this.next();
    return id;
  }

  /** What has come is kept by the server for a day. */
  pause(id: number): void {
    const state = this.get(id)?.state;
    if (state !== "queued" && state !== "sending" && state !== "waiting") return;
    this.running.get(id)?.transfer.pause();
    this.set(id, { state: "paused", speed: 0, left: undefined, note: undefined });
    this.next();
  }

  /** Go on with what is paused, or try again what failed. */
  resume(id: number): void {
    const upload = this.get(id);
    if (upload?.size === 0 || (upload?.state !== "paused" && upload?.state !== "failed")) return;
    this.set(id, { state: "queued", error: undefined });
    this.next();
  }

  /** End it and take it off the list; nothing of it remains. What is done stays a medium. Raises when that is not sure. */
  async cancel(id: number): Promise<void> {
    const upload = this.get(id);
    const running = this.running.get(id);
    this.running.delete(id);
    this.all.set(this.all.value.filter((one) => one.id !== id));
    this.next();
    if (upload?.state !== "done") await running?.transfer.cancel();
  }

  /** Take those that are done off the list. */
  clear(): void {
    this.all.set(this.all.value.filter((one) => one.state !== "done"));
  }

  get(id: number): Upload | undefined {
    return this.all.value.find((one) => one.id === id);
  }

  private progress(id: number, sent: number): void {
    const upload = this.get(id);
    const running = this.running.get(id);
    if (!upload || !running || upload.state === "paused") return;
    const { mark } = running;
    const passed = performance.now() - mark.at;
    const whole = sent >= upload.size;
    if (mark.sent < 0 || sent < mark.sent || upload.state !== "sending") {
      running.mark = { at: performance.now(), sent };
      this.set(id, { sent, state: whole ? "finishing" : "sending", note: sent > 0 ? undefined : upload.note });
      return;
    }
    if (passed < RENDER_INTERVAL_MS && !whole) return;
    const now = passed > 0 ? ((sent - mark.sent) / passed) * 1000 : upload.speed;
    const speed = upload.speed ? upload.speed * 0.7 + now * 0.3 : now;
    running.mark = { at: performance.now(), sent };
    this.set(id, {
      sent,
      speed: whole ? 0 : speed,
      left: whole || speed < 1 ? undefined : (upload.size - sent) / speed,
      state: whole ? "finishing" : "sending",
    });
  }

  private end(id: number, how: Partial<Upload>, again = false): void {
    if (!again) this.running.delete(id);
    this.set(id, { speed: 0, left: undefined, ...how });
    this.next();
  }

  private set(id: number, change: Partial<Upload>): void {
    this.all.set(this.all.value.map((one) => (one.id === id ? { ...one, ...change } : one)));
  }

  private next(): void {
    live.feed.requestUploads(this.all.value.filter(unfinished).length);
    const all = this.all.value;
    let busy = all.filter((one) => BUSY.includes(one.state)).length;
    for (const one of all) {
      if (one.state !== "queued" || busy >= live.feed.allowedUploads) continue;
      busy += 1;
      this.set(one.id, { state: "sending" });
      const running = this.running.get(one.id);
      if (running) running.mark.sent = -1;
      void running?.transfer.start();
    }
    setUnsaved("uploads", this.all.value.some(unfinished));
  }
}

const BUSY: UploadState[] = ["sending", "waiting", "finishing"];
/** Whether it would be lost, or broken off, by leaving the page. */
export const unfinished = (one: Upload): boolean => BUSY.includes(one.state) || one.state === "queued";

export const uploads = new Uploads();

/** Every upload of this page, the oldest first. */
export function useUploads(): readonly Upload[] {
  return useSyncExternalStore(uploads.all.watch, () => uploads.all.value);
}

/** One of them, by its id. */
export function useUpload(id: number | undefined): Upload | undefined {
  return useSyncExternalStore(uploads.all.watch, () => (id === undefined ? undefined : uploads.get(id)));
}

/** What kind of medium a file's name says it is. */
export const typeOf = (file: string): "ISO" | "DISK" => (/\.iso$/i.test(file) ? "ISO" : "DISK");

/** One line on how it stands, in words. */
export function uploadStatus(upload: Upload): string {
  if (upload.error) return messageOf(upload.error);
  if (upload.note) return upload.note;
  return STANDING[upload.state];
}

const STANDING: Record<UploadState, string> = {
  queued: "Waiting for other uploads",
  sending: "Uploading",
  waiting: "The connection was lost. It continues automatically.",
  paused: "Paused: what was uploaded is kept for a day",
  finishing: "The server checks what was uploaded",
  done: "Uploaded",
  failed: "Failed",
};
