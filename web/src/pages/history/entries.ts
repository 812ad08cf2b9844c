/** The entries of the history that were read so far: the newest ones, then page by page what is older. */
import { useCallback, useEffect, useRef, useState } from "react";
import { type Body, call } from "@/api/call";
import { live } from "@/api/live";
import { type Known, PAGE, withNewest, withOlder } from "./paging";

export type Wanted = Omit<Body<"/t/history", "post">, "before" | "limit">;

export interface Entries {
  known: Known | undefined;
  error: unknown;
  reading: boolean;
  again: () => void;
  older: () => void;
}

/** The newest are read at once, and again when the server tells that there are more. */
export function useEntries(wanted: Wanted, limit = PAGE, enabled = true): Entries {
  const [known, setKnown] = useState<Known>();
  const [error, setError] = useState<unknown>();
  const [reading, setReading] = useState(false);
  const key = JSON.stringify(wanted);
  const present = useRef(key);
  present.current = key;
  const read = useCallback(
    async (before: number | undefined) => {
      setReading(true);
      try {
        const { entries } = await call("post", "/t/history", { ...(JSON.parse(key) as Wanted), limit, before });
        if (present.current !== key) return; // another filter was chosen meanwhile
        setKnown((now) =>
          before === undefined || !now ? withNewest(now, entries, limit) : withOlder(now, entries, limit),
        );
        setError(undefined);
      } catch (failed) {
        if (present.current === key) setError(failed);
      } finally {
        if (present.current === key) setReading(false);
      }
    },
    [key, limit],
  );
  useEffect(() => {
    setKnown(undefined);
    setError(undefined);
    if (!enabled) return;
    void read(undefined);
    return live.subscribe("history", () => void read(undefined));
  }, [read, enabled]);
  const oldest = known?.entries.at(-1)?.hid;
  return { known, error, reading, again: () => void read(undefined), older: () => void read(oldest) };
}
