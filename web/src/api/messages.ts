/** What tabs and the worker that they share say to each other. */
import type { StreamMessage } from "./stream";

/** What a tab tells the worker. `uploads`: so many are under way or wait for their turn. `check`: a request waits. */
export type TabMessage =
  | { is: "join"; uid: number }
  | { is: "uploads"; wanted: number }
  | { is: "check" }
  | { is: "leave" };
/** What the worker tells a tab. */
export type WorkerMessage = StreamMessage | { is: "upload slots"; may: number } | { is: "heartbeat" };

/** Milliseconds between two signs of life of the worker. */
export const HEARTBEAT_MS = 5000;
