import { expect, it } from "vitest";
import { axisForm, emptySpans, hasMore, SPANS, shownTime } from "./spans";

it("an hour is an hour, however little of it was measured", () => {
  expect(shownTime("hour", 10_000)).toEqual([6400, 10_000]);
});

it("a span without anything of its own says so", () => {
  expect(emptySpans({ spans: ["hour", "day"] })).toBe("Week, Month and Year: nothing more has been measured yet.");
  expect(emptySpans({ spans: ["hour", "day", "week", "month"] })).toBe("Year: nothing more has been measured yet.");
  expect(emptySpans({ spans: [...SPANS] })).toBeUndefined();
  expect(SPANS.map((span) => hasMore(span, undefined))).toEqual(SPANS.map(() => true));
});

it("an axis of days has dates, one of hours has times", () => {
  expect(axisForm(0, 30 * 86_400, 5 * 86_400)).toEqual({ day: "numeric", month: "short" });
  expect(axisForm(0, 3 * 86_400, 43_200).weekday).toBe("short");
  expect(axisForm(0, 3600, 600).second).toBeUndefined();
  expect(axisForm(0, 60, 10).second).toBe("2-digit");
});
