/** Where a text stands in what a terminal has shown; a line that was too long for its width is one line. */

/** What is used of xterm's buffer. */
export interface Shown {
  length: number;
  getLine(row: number): { isWrapped: boolean; translateToString(trim?: boolean): string } | undefined;
}

export interface Place {
  row: number;
  column: number;
}

/** From the oldest to the newest, in small letters or capitals. */
export function placesOf(words: string, buffer: Shown, columns: number): Place[] {
  const wanted = words.toLowerCase();
  const found: Place[] = [];
  if (wanted === "") return found;
  for (let row = 0; row < buffer.length; ) {
    const first = row;
    let text = buffer.getLine(row)?.translateToString() ?? "";
    for (row += 1; buffer.getLine(row)?.isWrapped; row += 1) text += buffer.getLine(row)?.translateToString() ?? "";
    const line = text.toLowerCase();
    for (let at = line.indexOf(wanted); at >= 0; at = line.indexOf(wanted, at + wanted.length))
      found.push({ row: first + Math.floor(at / columns), column: at % columns });
  }
  return found;
}
