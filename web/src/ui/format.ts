/** Amounts and times as people read them. */
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Bytes, to three digits: 1.50 GiB. */
export function bytes(count: number): string {
  let left = Math.abs(count);
  let unit = 0;
  while (Math.round(left) >= 1024 && unit < UNITS.length - 1) {
    left /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || left >= 100 ? 0 : left >= 10 ? 1 : 2;
  return `${count < 0 ? "-" : ""}${left.toFixed(digits).replace(/\.0+$/, "")} ${UNITS[unit]}`;
}

/** Bytes a second: 1.50 MiB/s. */
export const rate = (count: number): string => `${bytes(count)}/s`;

export const mib = (count: number): string => bytes(count * 2 ** 20);

/** Bytes of "20 GiB", "20G", "1.5 t" or "512"; undefined if it is not a size. */
export function parseBytes(text: string): number | undefined {
  const match = /^\s*(\d+(?:[.,]\d+)?)\s*([kmgtp]?)(?:i?b)?\s*$/i.exec(text);
  if (!match) return undefined;
  const power = " kmgtp".indexOf((match[2] || " ").toLowerCase());
  return Math.round(Number((match[1] ?? "").replace(",", ".")) * 1024 ** power);
}

/** "in 3 h", "5 min ago"; from Unix seconds. */
export function ago(at: number, now = Date.now() / 1000): string {
  const seconds = Math.round(now - at);
  const far = duration(Math.abs(seconds));
  if (Math.abs(seconds) < 5) return "just now";
  return seconds < 0 ? `in ${far}` : `${far} ago`;
}

export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** Small shares have one decimal. */
export const percent = (value: number): string => `${value >= 10 ? Math.round(value) : Math.round(value * 10) / 10}%`;

/** In two units: "3 d 4 h", "12 min". */
export function uptime(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  const days = Math.floor(minutes / 1440);
  const hours = Math.floor(minutes / 60) % 24;
  if (days > 0) return hours > 0 ? `${days} d ${hours} h` : `${days} d`;
  if (hours > 0) return minutes % 60 > 0 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return minutes > 0 ? `${minutes} min` : `${Math.max(0, Math.floor(seconds))} s`;
}

/** In the browser's time zone, and of 24 hours, as below the charts. */
export const moment = (at: number): string =>
  new Date(at * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });

/** "Europe/Berlin" */
export const timeZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone;

/** A word, quoted for a POSIX shell if necessary. */
export const shell = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

export const count = (number: number, noun: string, plural = `${noun}s`): string =>
  `${number.toLocaleString()} ${number === 1 ? noun : plural}`;

/** A message of the server with a capital letter. */
export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
