/** Chords: keys that are pressed together, for what the browser or the person's own system would take for itself. */

/** An X11 keysym, and the key's place on the board as browsers name it. */
export interface Key {
  keysym: number;
  code: string;
}

/** Send one press or release. */
export type Send = (key: Key, down: boolean) => void;

const NAMED: Record<string, Key> = {
  Ctrl: { keysym: 0xffe3, code: "ControlLeft" },
  Alt: { keysym: 0xffe9, code: "AltLeft" },
  Shift: { keysym: 0xffe1, code: "ShiftLeft" },
  Super: { keysym: 0xffeb, code: "MetaLeft" },
  Del: { keysym: 0xffff, code: "Delete" },
  Backspace: { keysym: 0xff08, code: "Backspace" },
  Esc: { keysym: 0xff1b, code: "Escape" },
  Tab: { keysym: 0xff09, code: "Tab" },
  Enter: { keysym: 0xff0d, code: "Enter" },
  PrintScreen: { keysym: 0xff61, code: "PrintScreen" },
};

/** "Ctrl-Alt-Del", "Super", "Alt-F4", "Super-R" as keys. Raises `RangeError` for a name that is none. */
export function keysOf(chord: string): Key[] {
  return chord.split("-").map((name) => {
    const key = NAMED[name] ?? functionKey(name) ?? letter(name);
    if (!key) throw new RangeError(`${name} of ${chord} is not a key`);
    return key;
  });
}

function functionKey(name: string): Key | undefined {
  const number = /^F([1-9]|1[0-2])$/.exec(name)?.[1];
  return number === undefined ? undefined : { keysym: 0xffbd + Number(number), code: name };
}

function letter(name: string): Key | undefined {
  return /^[A-Z]$/.test(name) ? { keysym: name.toLowerCase().charCodeAt(0), code: `Key${name}` } : undefined;
}

/** Pressed in order, let go in the opposite one. */
export function press(keys: readonly Key[], send: Send): void {
  for (const key of keys) send(key, true);
  for (const key of [...keys].reverse()) send(key, false);
}

export const CHORDS: readonly { title: string; chords: readonly string[] }[] = [
  { title: "System", chords: ["Ctrl-Alt-Del", "Ctrl-Alt-Backspace", "PrintScreen"] },
  { title: "Windows", chords: ["Super", "Alt-Tab", "Alt-F4", "Ctrl-Esc", "Ctrl-Shift-Esc", "Super-L", "Super-R"] },
  { title: "Terminals", chords: Array.from({ length: 7 }, (_, index) => `Ctrl-Alt-F${index + 1}`) },
  { title: "Keys missing on phones", chords: ["Esc", "Tab", "F2", "F10", "F12"] },
];
