/** A command's words as lines: the program, then each option with what belongs to it. */
import { shell } from "@/ui/format";

export function linesOf(argv: readonly string[]): string[] {
  const lines: string[] = [];
  argv.forEach((word, index) => {
    const quoted = shell(word);
    const begins = index === 0 || /^-[A-Za-z-]/.test(word) || lines.length === 1;
    if (begins) lines.push(quoted);
    else lines[lines.length - 1] += ` ${quoted}`;
  });
  return lines;
}
