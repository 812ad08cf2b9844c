/** Text as key strokes on a US keyboard: what is pasted into a guest is typed, for it has no clipboard of ours. */
import { type Key, press, type Send } from "./chords";

export interface Stroke extends Key {
  shift: boolean;
}

const SHIFT: Key = { keysym: 0xffe1, code: "ShiftLeft" };
/** Per place on the board: the character without and with Shift. */
const PLACES: readonly [code: string, plain: string, shifted: string][] = [
  ["Backquote", "`", "~"],
  ...[..."1234567890"].map(
    (digit, index) => [`Digit${digit}`, digit, "!@#$%^&*()".charAt(index)] as [string, string, string],
  ),
  ["Minus", "-", "_"],
  ["Equal", "=", "+"],
  ["BracketLeft", "[", "{"],
  ["BracketRight", "]", "}"],
  ["Backslash", "\\", "|"],
  ["Semicolon", ";", ":"],
  ["Quote", "'", '"'],
  ["Comma", ",", "<"],
  ["Period", ".", ">"],
  ["Slash", "/", "?"],
  ["Space", " ", ""],
  ...[..."abcdefghijklmnopqrstuvwxyz"].map(
    (letter) => [`Key${letter.toUpperCase()}`, letter, letter.toUpperCase()] as [string, string, string],
  ),
];

const STROKES = new Map<string, Stroke>();
for (const [code, plain, shifted] of PLACES) {
  STROKES.set(plain, { keysym: plain.charCodeAt(0), code, shift: false });
  if (shifted) STROKES.set(shifted, { keysym: shifted.charCodeAt(0), code, shift: true });
}
STROKES.set("\n", { keysym: 0xff0d, code: "Enter", shift: false });
STROKES.set("\t", { keysym: 0xff09, code: "Tab", shift: false });

/** The strokes of a text, and the characters (each once) that this keyboard does not have. */
export function strokesOf(text: string): { strokes: Stroke[]; missing: string[] } {
  const strokes: Stroke[] = [];
  const missing = new Set<string>();
  for (const character of text.replace(/\r\n?/g, "\n")) {
    const stroke = STROKES.get(character);
    if (stroke) strokes.push(stroke);
    else missing.add(character);
  }
  return { strokes, missing: [...missing] };
}

/** Milliseconds between two strokes: a guest's firmware loses what comes faster. */
export const PACE = 15;

/**
 * Type them, one after the other. Ends early, with every key let go, when the signal is given.
 * `told` is called with the number typed. Answers whether all were.
 */
export async function type(
  strokes: readonly Stroke[],
  send: Send,
  { signal, told, wait = pause }: { signal: AbortSignal; told?: (typed: number) => void; wait?: () => Promise<void> },
): Promise<boolean> {
  let typed = 0;
  for (const stroke of strokes) {
    if (signal.aborted) return false;
    press(stroke.shift ? [SHIFT, stroke] : [stroke], send);
    typed += 1;
    told?.(typed);
    await wait();
  }
  return true;
}

const pause = () => new Promise<void>((resolve) => setTimeout(resolve, PACE));
