/** A relative time ("5 min ago") that stays current, with the exact one on hover and for programs. */
import { useEffect } from "react";
import { Signal, useSignal } from "@/api/signal";
import { ago, moment, timeZone } from "./format";

const tick = new Signal(Date.now());
let shown = 0;
let timer: ReturnType<typeof setInterval> | undefined;

/** The present time in Unix seconds, updated while something shows it. */
export function useNow(): number {
  useEffect(() => {
    shown += 1;
    timer ??= setInterval(() => tick.set(Date.now()), 10_000);
    tick.set(Date.now());
    return () => {
      shown -= 1;
      if (shown > 0) return;
      clearInterval(timer);
      timer = undefined;
    };
  }, []);
  return useSignal(tick) / 1000;
}

/** Unix seconds. */
export function When({ at }: { at: number }) {
  const now = useNow();
  const past = at <= Date.now() / 1000;
  return (
    <time dateTime={new Date(at * 1000).toISOString()} title={`${moment(at)}, ${timeZone()}`}>
      {ago(at, past ? Math.max(now, at) : now)}
    </time>
  );
}
