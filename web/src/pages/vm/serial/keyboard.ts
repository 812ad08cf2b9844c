/** Who types at a serial console: what the server tells of it (subprotocol `velocity.serial`), and what we say. */

export const SUBPROTOCOL = "velocity.serial";
export type Move = "ask" | "take" | "give" | "keep" | "release";

interface KeyboardStatus {
  viewers?: string[];
  keyboard?: { holder: string | null; yours: boolean };
  asks?: string;
  refused?: boolean;
}

export interface Keyboard {
  viewers: string[];
  holder: string | undefined;
  yours: boolean;
  /** Who asks the holder, which is us, for it. */
  asks: string | undefined;
  /** What became of our own asking. */
  asked: "no" | "waiting" | "refused";
}

export const NOBODY: Keyboard = { viewers: [], holder: undefined, yours: false, asks: undefined, asked: "no" };

/** What holds after the server has told this. What is no message of it changes nothing. */
export function afterMessage(before: Keyboard, frame: string): Keyboard {
  const told = read(frame);
  if (!told) return before;
  if (told.refused) return { ...before, asked: "refused" };
  if (!told.keyboard) return before;
  const holder = told.keyboard.holder ?? undefined;
  const changed = holder !== before.holder || told.keyboard.yours !== before.yours;
  return {
    viewers: told.viewers ?? before.viewers,
    holder,
    yours: told.keyboard.yours,
    asks: told.asks,
    asked: changed ? "no" : before.asked,
  };
}

function read(frame: string): KeyboardStatus | undefined {
  try {
    const told: unknown = JSON.parse(frame);
    return typeof told === "object" && told !== null ? (told as KeyboardStatus) : undefined;
  } catch {
    return undefined;
  }
}
