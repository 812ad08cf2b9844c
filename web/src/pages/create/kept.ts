/** What was typed into the wizard, for this tab: a reload and the browser's Back lose nothing. */
import { session } from "@/api/session";
import { readTab, writeTab } from "@/api/stored";
import type { Draft } from "./draft";

export interface Kept {
  gid?: number;
  typed: Partial<Draft>;
}

/** Each user has their own. */
const key = () => `create.${session.present?.uid ?? ""}`;

export const readDraft = (): Kept => readTab<Kept>(key(), { typed: {} });
/** But for the password's hash, which is typed again. */
export const keepDraft = ({ typed: { passwordHash: _, ...typed }, ...kept }: Kept): void =>
  writeTab(key(), { ...kept, typed });
