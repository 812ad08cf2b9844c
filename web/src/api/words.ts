/** What tabs and the worker that they share say to each other. */
import type { News } from "./stream";

/** What a tab tells the worker. `uploads`: so many are under way or wait for their turn. */
export type Asked = { is: "join"; uid: number } | { is: "uploads"; wanted: number } | { is: "leave" };
/** What the worker tells a tab. */
export type Word = News | { is: "turn"; may: number } | { is: "beat" };

/** Milliseconds between two signs of life of the worker. */
export const BEAT = 5000;
