/** Recent use of something, as a line; the number beside it is the present value. */
import { sparkPath } from "./spark";

const WIDTH = 120;
const HEIGHT = 24;

/** `lines`: several for values with directions. `top`: the possible maximum; absent: the highest value. */
export function Sparkline({
  lines,
  top,
  slots,
}: {
  lines: readonly (readonly (number | null)[])[];
  top?: number;
  slots: number;
}) {
  const most = top ?? Math.max(1, ...lines.flatMap((line) => line.slice(-slots).map((value) => value ?? 0)));
  return (
    <svg className="v-spark" viewBox={`-1 -1 ${WIDTH + 2} ${HEIGHT + 2}`} preserveAspectRatio="none" aria-hidden="true">
      {lines.map((line, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a line has no identity but its place
        <path key={index} d={sparkPath(line, { width: WIDTH, height: HEIGHT, top: most, slots })} />
      ))}
    </svg>
  );
}
