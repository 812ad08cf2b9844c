/** A line without axes, as an SVG path: gaps remain gaps, and the newest value is at the end. */

/** From zero at the bottom to `top`; `slots` is the number of values that fit. */
export function sparkPath(
  values: readonly (number | null)[],
  { width, height, top, slots = values.length }: { width: number; height: number; top: number; slots?: number },
): string {
  const shown = values.slice(-slots);
  const step = slots > 1 ? width / (slots - 1) : width;
  const first = slots - shown.length;
  let path = "";
  let drawing = false;
  shown.forEach((value, index) => {
    if (value === null) {
      drawing = false;
      return;
    }
    const x = round((first + index) * step);
    const y = round(height - (top > 0 ? Math.min(1, value / top) : 0) * height);
    path += `${drawing ? "L" : "M"}${x} ${y}`;
    if (!drawing) path += `h0.01`; // one value alone is a dot
    drawing = true;
  });
  return path;
}

const round = (value: number) => Math.round(value * 100) / 100;
