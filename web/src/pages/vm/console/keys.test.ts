import { describe, expect, it } from "vitest";
import { CHORDS, type Key, keysOf, press } from "./chords";
import { type Picture, seenOn } from "./placeholder";
import { releaseWatch } from "./release";
import { strokesOf, type } from "./strokes";

function recorder() {
  const sent: string[] = [];
  return { sent, send: (key: Key, down: boolean) => void sent.push(`${down ? "+" : "-"}${key.code}`) };
}

describe("chords", () => {
  it("are pressed in order and let go in the opposite one", () => {
    const { sent, send } = recorder();
    press(keysOf("Ctrl-Alt-Del"), send);
    expect(sent).toEqual(["+ControlLeft", "+AltLeft", "+Delete", "-Delete", "-AltLeft", "-ControlLeft"]);
  });

  it("know function keys and letters by their keysyms", () => {
    expect(keysOf("F1")[0]).toEqual({ keysym: 0xffbe, code: "F1" });
    expect(keysOf("F12")[0]).toEqual({ keysym: 0xffc9, code: "F12" });
    expect(keysOf("Super-R").map((key) => key.keysym)).toEqual([0xffeb, 0x72]);
  });

  it("refuse what is not a key", () => {
    expect(() => keysOf("Ctrl-F13")).toThrow(RangeError);
    expect(() => keysOf("Hyper")).toThrow(RangeError);
  });

  it("that are offered are all keys, each once", () => {
    const offered = CHORDS.flatMap((group) => group.chords);
    for (const chord of offered) expect(keysOf(chord).length).toBeGreaterThan(0);
    expect(new Set(offered).size).toBe(offered.length);
  });
});

describe("text as strokes", () => {
  it("has every printable ASCII character, each at one place of the board", () => {
    const ascii = Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index)).join("");
    const { strokes, missing } = strokesOf(ascii);
    expect(missing).toEqual([]);
    expect(strokes.map((stroke) => stroke.keysym)).toEqual([...ascii].map((one) => one.charCodeAt(0)));
    expect(new Set(strokes.map((stroke) => `${stroke.code}${stroke.shift}`)).size).toBe(95);
  });

  it("holds Shift where a US keyboard needs it", () => {
    expect(strokesOf("aA1!").strokes.map(({ code, shift }) => [code, shift])).toEqual([
      ["KeyA", false],
      ["KeyA", true],
      ["Digit1", false],
      ["Digit1", true],
    ]);
  });

  it("takes each kind of line end as one Enter", () => {
    expect(strokesOf("a\r\nb\rc\n").strokes.filter((stroke) => stroke.code === "Enter")).toHaveLength(3);
  });

  it("names what cannot be typed, once, and types the rest", () => {
    const { strokes, missing } = strokesOf("größe ß 😀");
    expect(missing).toEqual(["ö", "ß", "😀"]);
    expect(strokes.map((stroke) => String.fromCharCode(stroke.keysym)).join("")).toBe("gre  ");
  });

  it("is typed with pauses, and a stop leaves no key down", async () => {
    const { sent, send } = recorder();
    const stop = new AbortController();
    let pauses = 0;
    const all = await type(strokesOf("aBc").strokes, send, {
      signal: stop.signal,
      wait: async () => {
        pauses += 1;
        if (pauses === 2) stop.abort();
      },
    });
    expect(all).toBe(false);
    expect(sent).toEqual(["+KeyA", "-KeyA", "+ShiftLeft", "+KeyB", "-KeyB", "-ShiftLeft"]);
  });
});

describe("the way out", () => {
  const feed = (changes: string[]) => {
    const watch = releaseWatch();
    return changes.map((one) => watch({ type: one.startsWith("+") ? "keydown" : "keyup", code: one.slice(1) }));
  };

  it("is Ctrl and Alt let go together, said once", () => {
    expect(feed(["+ControlLeft", "+AltLeft", "-AltLeft", "-ControlLeft"])).toEqual([false, false, true, false]);
    expect(feed(["+AltLeft", "+ControlLeft", "-AltLeft", "-ControlLeft"])).toEqual([false, false, true, false]);
  });

  it("is no part of a longer chord", () => {
    const changes = ["+ControlLeft", "+AltLeft", "+Delete", "-Delete", "-AltLeft", "-ControlLeft"];
    expect(feed(changes)).not.toContain(true);
  });

  it("is not AltGr, which some systems send as left Ctrl and right Alt", () => {
    expect(feed(["+ControlLeft", "+AltRight", "-AltRight", "-ControlLeft"])).not.toContain(true);
  });
});

describe("what is seen on a display", () => {
  const black = (width = 640, height = 480): Picture => {
    const data = new Uint8ClampedArray(width * height * 4);
    for (let at = 3; at < data.length; at += 4) data[at] = 255;
    return { width, height, data };
  };
  const paint = (picture: Picture, x: number, y: number, value: number) => {
    picture.data.fill(value, (y * picture.width + x) * 4, (y * picture.width + x) * 4 + 3);
  };

  it("is black, the hypervisor's line, or the guest's own", () => {
    expect(seenOn(black())).toBe("black");
    const line = black();
    for (let x = 200; x < 440; x += 2) paint(line, x, 232, 0xaa);
    expect(seenOn(line)).toBe("placeholder");
    paint(line, 0, 0, 0xaa);
    expect(seenOn(line)).toBe("drawn");
  });

  it("is the guest's own where the text has another colour, or is but a cursor", () => {
    const bright = black();
    for (let x = 200; x < 440; x += 2) paint(bright, x, 232, 0xff);
    expect(seenOn(bright)).toBe("drawn");
    const cursor = black();
    for (let x = 0; x < 8; x += 1) paint(cursor, x, 232, 0xaa);
    expect(seenOn(cursor)).toBe("drawn");
  });
});
