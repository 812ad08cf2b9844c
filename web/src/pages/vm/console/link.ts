/** A console's connection: each try asks for a ticket of its own, and what breaks is tried again, calmly. */
import { at } from "@/api/base";
import { ApiError, messageOf } from "@/api/http";
import { Signal } from "@/api/signal";

export type LinkState =
  | { is: "connecting" }
  /** `silent`: nothing has come from it for longer than usual. */
  | { is: "open"; silent?: true }
  /** It broke, or could not be opened; tried again at `next` (milliseconds of the clock). */
  | { is: "lost"; message: string; next: number }
  /** There is no sense in trying again. */
  | { is: "over"; message: string };

/** The server's close codes. */
export const FORBIDDEN = 4403;
export const ENDED = 4410;
export const MOVED = 4411;
export const LOST = 4412;
const STOPPED = 19120;
const DELAYS = [500, 1000, 2000, 4000, 8000];
/** Milliseconds after which a connection counts as one that holds. */
const HOLDS = 5000;
/** Milliseconds in which the server has to open it; then it is tried again by another connection. */
const OPEN_LIMIT = 30_000;
/** Milliseconds after which a console that says nothing, at first or to what was typed, is told to be silent. */
const SILENT = 10_000;

interface How {
  /** Ask for a ticket; answers with the path to open. */
  ask: () => Promise<string>;
  connect: (path: string) => WebSocket;
  /** Begin to use the socket, and tell when something has come from the console; answers with how to end that. */
  attach: (socket: WebSocket, answered: () => void) => () => void;
}

export class ConsoleLink {
  readonly state = new Signal<LinkState>({ is: "connecting" });
  private detach: (() => void) | undefined;
  private socket: WebSocket | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private tries = 0;
  /** Whether `timer` waits for a word of the console. */
  private expecting = false;
  /** Which opening or closing was the last: what an earlier one still waits for is dropped. */
  private round = 0;

  constructor(private readonly how: How) {}

  /** Connect now, whatever was planned. */
  async open(): Promise<void> {
    this.round += 1;
    const { round } = this;
    clearTimeout(this.timer);
    this.drop();
    // Why it was lost stays to be read while a ticket is asked for: that may wait until somebody has signed in again.
    if (this.state.value.is !== "lost") this.state.set({ is: "connecting" });
    let path: string;
    try {
      path = await this.how.ask();
    } catch (error) {
      if (round === this.round) this.refused(error);
      return;
    }
    if (round !== this.round) return;
    this.state.set({ is: "connecting" });
    const socket = this.how.connect(path);
    this.socket = socket;
    let since = 0;
    const lose = (message: string) => {
      if (this.socket !== socket) return;
      clearTimeout(this.timer);
      if (since && Date.now() - since > HOLDS) this.tries = 0;
      this.drop();
      this.again(message);
    };
    this.timer = setTimeout(() => lose("The server did not respond."), OPEN_LIMIT);
    socket.addEventListener("open", () => {
      if (this.socket !== socket) return;
      since = Date.now();
      clearTimeout(this.timer);
      this.state.set({ is: "open" });
      this.expectAnswer();
    });
    socket.addEventListener("close", (event) => lose(reason(event.code, since > 0)));
    this.detach = this.how.attach(socket, () => {
      if (this.socket !== socket || this.state.value.is !== "open") return;
      if (this.expecting) clearTimeout(this.timer);
      this.expecting = false;
      if (this.state.value.silent) this.state.set({ is: "open" });
    });
  }

  /** Something was sent to which something comes back: a wire that is dead tells nothing else of it. */
  expectAnswer(): void {
    if (this.state.value.is !== "open" || this.expecting) return;
    this.expecting = true;
    this.timer = setTimeout(() => {
      this.expecting = false;
      this.state.set({ is: "open", silent: true });
    }, SILENT);
  }

  close(): void {
    this.round += 1;
    clearTimeout(this.timer);
    this.drop();
  }

  private drop(): void {
    const { detach, socket } = this;
    this.expecting = false;
    this.detach = undefined;
    this.socket = undefined;
    detach?.();
    socket?.close();
  }

  private refused(error: unknown): void {
    const status = error instanceof ApiError ? error.status : 500;
    const passes = status === 0 || status >= 429 || (error instanceof ApiError && error.code === STOPPED);
    if (passes) this.again(messageOf(error));
    else this.state.set({ is: "over", message: messageOf(error) });
  }

  private again(message: string): void {
    const delay = DELAYS[Math.min(this.tries, DELAYS.length - 1)] ?? 8000;
    this.tries += 1;
    this.state.set({ is: "lost", message, next: Date.now() + delay });
    this.timer = setTimeout(() => void this.open(), delay);
  }
}

/** Why a connection ended, for people. Whether there will be another one is what the next ticket tells. */
export function reason(code: number, wasOpen: boolean): string {
  if (code === FORBIDDEN) return "Your session or your permission for this console is no longer valid.";
  if (code === ENDED) return "The VM has stopped.";
  if (code === MOVED) return "The VM has moved to another host.";
  if (code === LOST) return "The VM's host does not respond.";
  return wasOpen ? "The connection was lost." : "The console could not be opened.";
}

export function socketTo(path: string, protocols?: string[]): WebSocket {
  const url = new URL(at(path), location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(url, protocols);
  socket.binaryType = "arraybuffer";
  return socket;
}
