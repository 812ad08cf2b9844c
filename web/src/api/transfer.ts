/** One file on its way to the server (tus 1.0): it goes on where it broke off, after a new sign-in and after a reload. */
import type { DetailedError, HttpResponse, Upload as Tus } from "tus-js-client";
import { readStored, writeStored } from "@/api/stored";
import { at, reached } from "./base";
import { ApiError } from "./http";
import type { Content, UploadMedium } from "./schema";
import { session } from "./session";

/** What the medium is to be. */
export type Wanted = Pick<UploadMedium, "gid" | "mpid" | "name" | "type" | "readonly">;

export interface Listener {
  progress(sent: number): void;
  /** The connection broke: it is tried again by itself, for as long as it takes. */
  waiting(why: string): void;
  /** The server knows nothing more of what it had (it was restarted): it begins again. */
  again(): void;
  done(mid: string, content: Content | undefined): void;
  failed(error: Error): void;
  /** Whether the medium is there already: the answer to the last byte may have been lost. */
  find(): string | undefined;
}

const PLACE = at("/m/media/tus");
const VERSION = "1.0.0";
const PAUSES = [500, 1000, 2000, 4000, 5000];
/** Milliseconds without a byte after which a connection is given up for a new one. */
const STALLED = 30_000;
/** Seconds for which the server keeps what has come. */
const KEPT = 24 * 3600;

export class Transfer {
  private tus: Tus | undefined;
  private sent = 0;
  private begun = false;
  private beginning = false;
  private attempt = 0;
  private stopped = true;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private watch: ReturnType<typeof setTimeout> | undefined;
  private readonly online = () => this.resumeNow();

  constructor(
    private readonly file: File,
    private readonly wanted: Wanted,
    private readonly listener: Listener,
  ) {}

  async start(): Promise<void> {
    this.stopped = false;
    addEventListener("online", this.online);
    try {
      this.tus ??= await this.make();
      if (!this.stopped) this.go();
    } catch (error) {
      this.fail(error as Error);
    }
  }

  /** The server keeps what has come for a day. */
  pause(): void {
    this.halt();
    if (this.tus?.url) void this.tus.abort(); // before that, the beginning is let through, so that nothing is orphaned
  }

  /** Nothing of it remains. Raises `ApiError` when the server could not be told. */
  async cancel(): Promise<void> {
    this.halt();
    if (!this.tus) return;
    this.forget();
    if (this.tus.url) await this.tus.abort(true).catch((error) => this.ended(error as DetailedError));
    else await this.tus.abort();
  }

  private go(): void {
    if (!this.tus || this.beginning) return; // one that is just being begun goes on by itself
    this.beginning = !this.tus.url;
    if (!this.beginning) this.expect();
    this.tus.start();
  }

  /** Something must move soon. */
  private expect(): void {
    clearTimeout(this.watch);
    this.watch = setTimeout(() => {
      void this.tus?.abort();
      this.later("The upload is not progressing.");
    }, STALLED);
  }

  private async make(): Promise<Tus> {
    const { Upload } = await import("tus-js-client");
    const { gid, mpid, name, type, readonly } = this.wanted;
    const upload: Tus = new Upload(this.file, {
      endpoint: PLACE,
      uploadUrl: this.former(),
      metadata: { gid: String(gid), mpid: String(mpid), name, type, readonly: String(readonly) },
      retryDelays: null, // what is tried again, and when, is decided here
      storeFingerprintForResuming: false,
      onBeforeRequest: (request) => {
        for (const [header, value] of Object.entries(session.headers())) request.setHeader(header, value);
      },
      onAfterResponse: (request, response) => {
        const status = response.getStatus();
        if (status < 400) return;
        if (request.getMethod() === "HEAD" && status === 404) {
          if (this.sent > 0) this.listener.again();
          this.sent = 0;
          return; // the library begins it anew
        }
        throw refusal(status, response.getBody() || headWords(response), response.getHeader("x-request-id"));
      },
      onUploadUrlAvailable: () => {
        this.begun = true;
        this.beginning = false;
        if (upload.url) {
          upload.url = reached(upload.url);
          this.remember(upload.url);
        }
        if (this.stopped) void upload.abort();
      },
      onProgress: (sent) => this.progress(sent),
      onSuccess: ({ lastResponse }) => {
        const mid = lastResponse.getHeader("x-velocity-mid");
        if (mid) this.finish(mid, lastResponse.getHeader("x-velocity-content"));
        else void this.close();
      },
      onError: (error) => void this.broke(error as DetailedError),
    });
    return upload;
  }

  private progress(sent: number): void {
    if (sent > this.sent) this.attempt = 0;
    this.sent = sent;
    this.listener.progress(sent);
    clearTimeout(this.watch);
    // after the last byte the server is at work, which may take its time
    if (sent < this.file.size && !this.stopped) this.expect();
  }

  private async broke(error: DetailedError): Promise<void> {
    clearTimeout(this.watch);
    this.beginning = false;
    const told = error.causingError;
    try {
      if (!(told instanceof ApiError)) {
        if (await unreadable(this.file)) throw new Error("The file can no longer be read: it was changed or moved.");
        return this.later("The connection was lost.");
      }
      if (told.status === 401) await session.ended();
      else if (told.code === 101) await session.look();
      else if (told.code === 9220 && this.begun) {
        const mid = this.listener.find();
        if (!mid) throw told;
        return this.finish(mid, undefined);
      } else if (told.code === 9224 || told.status === 429 || told.status === 503) return this.later(told.message);
      else throw told;
      if (!this.stopped) this.go();
    } catch (failure) {
      this.fail(failure as Error);
    }
  }

  private later(why: string): void {
    if (this.stopped) return;
    this.listener.waiting(why);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.resumeNow(), PAUSES[Math.min(this.attempt++, PAUSES.length - 1)]);
  }

  private resumeNow(): void {
    if (this.stopped || this.timer === undefined) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.go();
  }

  /** Every byte had come before the connection broke: the medium is still to be made of them. */
  private async close(): Promise<void> {
    try {
      const response = await fetch(this.tus?.url ?? PLACE, {
        method: "PATCH",
        headers: {
          "tus-resumable": VERSION,
          "content-type": "application/offset+octet-stream",
          "upload-offset": String(this.file.size),
          ...session.headers(),
        },
        body: new Blob([]),
      });
      const mid = response.headers.get("x-velocity-mid");
      if (mid) this.finish(mid, response.headers.get("x-velocity-content") ?? undefined);
      else if (response.status === 404) this.later("The server lost track of the upload.");
      else {
        const told = refusal(response.status, await response.text(), response.headers.get("x-request-id") ?? undefined);
        if (told.status === 503) this.later(told.message);
        else this.fail(told);
      }
    } catch {
      this.later("The connection was lost.");
    }
  }

  private finish(mid: string, content: string | undefined): void {
    this.halt();
    this.forget();
    this.listener.done(mid, content ? (JSON.parse(decodeURIComponent(content)) as Content) : undefined);
  }

  private fail(error: Error): void {
    if (this.stopped) return;
    this.halt();
    this.sent = 0;
    this.listener.failed(error);
  }

  private halt(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    clearTimeout(this.watch);
    this.timer = undefined;
    removeEventListener("online", this.online);
  }

  private ended(error: DetailedError): void {
    const told = error.causingError;
    if (told instanceof ApiError && told.status === 404) return;
    throw new ApiError(0, 0, "The server could not be reached. What was uploaded is removed within a day.");
  }

  /** The place is of use only to the one who is signed in as its owner: it is no secret. */
  private get mark(): string {
    const { gid, mpid, name } = this.wanted;
    return JSON.stringify([session.present?.uid, gid, mpid, name, this.file.size, this.file.lastModified]);
  }

  private former(): string | undefined {
    return places()[this.mark]?.place;
  }

  private remember(url: string): void {
    writeStored("uploads", { ...places(), [this.mark]: { place: url, at: now() } });
  }

  private forget(): void {
    const { [this.mark]: _gone, ...others } = places();
    writeStored("uploads", others);
  }
}

const now = () => Math.floor(Date.now() / 1000);

function places(): Record<string, { place: string; at: number }> {
  const all = Object.entries(readStored<Record<string, { place: string; at: number }>>("uploads", {}));
  return Object.fromEntries(all.filter(([, one]) => now() - one.at < KEPT));
}

/** The refusal of a HEAD, which has no body: it stands in its headers. */
function headWords(response: HttpResponse): string {
  const message = response.getHeader("x-velocity-message");
  if (!message) return "";
  return JSON.stringify({
    code: Number(response.getHeader("x-velocity-code")),
    message: decodeURIComponent(message),
  });
}

function refusal(status: number, body: string, request: string | undefined): ApiError {
  try {
    const told = JSON.parse(body) as { code: number; message: string; field?: string };
    return new ApiError(status, told.code, told.message, told.field?.replace(/^x-velocity-/, ""), request);
  } catch {
    const message =
      status === 403 ? "You may no longer upload there." : `The server responded with status ${status} and no message.`;
    return new ApiError(status, status, message, undefined, request);
  }
}

async function unreadable(file: File): Promise<boolean> {
  try {
    await file.slice(0, 1).arrayBuffer();
    return false;
  } catch {
    return true;
  }
}
