/** How large the letters of terminals are, in pixels: kept in the browser. */
import { Signal } from "@/api/signal";
import { readStored, writeStored } from "@/api/stored";

export const LEAST = 10;
export const MOST = 24;
export const fontSize = new Signal<number>(readStored("serial.font", 14));

export function changeFont(by: number): void {
  const size = Math.min(MOST, Math.max(LEAST, fontSize.value + by));
  writeStored("serial.font", size);
  fontSize.set(size);
}
