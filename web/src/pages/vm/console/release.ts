/** The way out of a console, which takes every key: the left Ctrl and the left Alt, pressed together and let go. */

export type KeyChange = Pick<KeyboardEvent, "type" | "code">;

/** Told of every key; answers true at the moment when the person asks for the way out. */
export function releaseWatch(): (change: KeyChange) => boolean {
  const down = new Set<string>();
  let alone = true;
  return ({ type, code }) => {
    const ours = code === "ControlLeft" || code === "AltLeft";
    if (type === "keydown") {
      if (!ours) alone = false;
      else if (down.size === 0) alone = true;
      if (ours) down.add(code);
      return false;
    }
    const asks = ours && alone && down.has("ControlLeft") && down.has("AltLeft");
    down.delete(code);
    if (asks) alone = false; // once
    return asks;
  };
}
