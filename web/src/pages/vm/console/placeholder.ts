/** Whether a guest draws on its display: the hypervisor shows one line of grey text on black until one does. */

export interface Picture {
  width: number;
  height: number;
  /** RGBA. */
  data: Uint8ClampedArray;
}

/** `placeholder`: the hypervisor's own line; `black`: nothing at all, as of a screen that sleeps; `drawn`: the guest's. */
export type Seen = "placeholder" | "black" | "drawn";

const GLYPH = 16;
/** The one colour of the placeholder's text: grey of VGA. */
const GREY = 0xaa;
const TOLERANCE = 6;

export function seenOn({ width, height, data }: Picture): Seen {
  const top = Math.floor((height / GLYPH - 1) / 2) * GLYPH;
  let grey = 0;
  for (let row = 0; row < height; row += 1) {
    const inBand = row >= top - GLYPH && row < top + 2 * GLYPH;
    for (let at = row * width * 4, end = at + width * 4; at < end; at += 4) {
      const [red, green, blue] = [data[at] ?? 0, data[at + 1] ?? 0, data[at + 2] ?? 0];
      if (red + green + blue <= TOLERANCE) continue;
      if (!inBand || !isGrey(red) || !isGrey(green) || !isGrey(blue)) return "drawn";
      grey += 1;
    }
  }
  return grey === 0 ? "black" : grey >= GLYPH ? "placeholder" : "drawn";
}

const isGrey = (value: number) => Math.abs(value - GREY) <= TOLERANCE;
