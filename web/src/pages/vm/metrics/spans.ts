/** How far back a chart goes. */
import type { VmMetrics } from "@/api/schema";

export const SPANS = ["hour", "day", "week", "month", "year"] as const;
export type Span = (typeof SPANS)[number];

export const SPAN_WORDS: Record<Span, string> = {
  hour: "Hour",
  day: "Day",
  week: "Week",
  month: "Month",
  year: "Year",
};
/** How much of the time a chart shows, whether or not all of it was measured. */
export const SECONDS: Record<Span, number> = {
  hour: 3600,
  day: 86_400,
  week: 7 * 86_400,
  month: 31 * 86_400,
  year: 366 * 86_400,
};

/** From where to where: up to the newest measurement. */
export const shownTime = (span: Span, newest: number): [number, number] => [newest - SECONDS[span], newest];

/** Milliseconds after which there may be another value to be seen; no longer than twenty minutes. */
export const EVERY: Record<Span, number> = {
  hour: 10_000,
  day: 120_000,
  week: 1_200_000,
  month: 1_200_000,
  year: 1_200_000,
};

/** Whether it shows more than the one before it; not known yet: any may be chosen. */
export const hasMore = (span: Span, metrics: Pick<VmMetrics, "spans"> | undefined): boolean =>
  metrics === undefined || metrics.spans.includes(span);

/** Why longer spans cannot be chosen, if there are such. */
export function emptySpans(metrics: Pick<VmMetrics, "spans"> | undefined): string | undefined {
  const empty = SPANS.filter((span) => !hasMore(span, metrics));
  if (empty.length === 0) return undefined;
  const words = empty.map((span) => SPAN_WORDS[span]);
  const all = words.length === 1 ? words[0] : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
  return `${all}: nothing more has been measured yet.`;
}

/** The times below a chart: of hours as times, of weeks as days. */
export function axisForm(from: number, to: number, step: number): Intl.DateTimeFormatOptions {
  if (step >= 86_400) return { day: "numeric", month: "short" };
  if (to - from > 86_400) return { weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return {
    hour: "2-digit",
    minute: "2-digit",
    second: step < 60 ? "2-digit" : undefined,
    hourCycle: "h23",
  };
}
