/** What each part of the settings' form is given. */
import type { Draft } from "./draft";

export interface Fields {
  draft: Draft;
  change: (part: Partial<Draft>) => void;
  /** By the field as the server names it. */
  problems: Record<string, string>;
  disabled: boolean;
}

/** The list with one element otherwise. */
export const replaced = <T>(list: readonly T[], index: number, part: Partial<T>): T[] =>
  list.map((one, at) => (at === index ? { ...one, ...part } : one));

export const without = <T>(list: readonly T[], index: number): T[] => list.filter((_one, at) => at !== index);
