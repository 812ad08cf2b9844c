/** One chart, as uPlot draws it: its colours are the page's, gaps are gaps. */
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { moment } from "@/ui/format";
import { type Chart, marks } from "./series";
import { axisForm, type Span, shownTime } from "./spans";

const HEIGHT = 160;
/** Pixels above it and beside its end, for half a word of its axes. */
const PADDING: uPlot.Padding = [8, 16, 0, 0];
const COLOURS = ["--v-accent", "--v-warn-dot"];
const FILLED = 0.15;
const LEAST = { cpu: 10, other: 1 };
/** Pixels beside the axis: the same for all, as the times below the charts of a page stand below each other. */
const BESIDE = 80;

interface Props {
  chart: Chart;
  at: number[];
  span: Span;
  dark: boolean;
}

export default function ChartView({ chart, at, span, dark }: Props) {
  const room = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const shown = useRef({ chart, at, span });
  shown.current = { chart, at, span };
  const shape = chart.lines.map((line) => line.title).join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: another theme has other colours, another shape other lines
  useEffect(() => {
    const element = room.current as HTMLDivElement;
    const drawn = new uPlot(
      options(element, shown.current.chart, () => shown.current.span),
      data(shown.current),
      element,
    );
    plot.current = drawn;
    const watched = new ResizeObserver(() => {
      if (element.clientWidth > 0) drawn.setSize({ width: element.clientWidth, height: HEIGHT });
    });
    watched.observe(element);
    return () => {
      watched.disconnect();
      drawn.destroy();
      plot.current = undefined;
    };
  }, [dark, shape]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: with the same data another span is drawn anew
  useEffect(() => plot.current?.setData(data({ chart, at })), [chart, at, span]);
  return <div ref={room} className="v-chart" aria-hidden="true" />;
}

const data = ({ chart, at }: Pick<Props, "chart" | "at">): uPlot.AlignedData => [
  at,
  ...chart.lines.map((line) => line.values),
];

function options(element: HTMLElement, { id, lines, show, binary }: Chart, span: () => Span): uPlot.Options {
  const style = getComputedStyle(element);
  const token = (name: string) => style.getPropertyValue(name).trim();
  const colours = COLOURS.map(token);
  const axis = {
    stroke: token("--pf-t--global--text--color--subtle"),
    grid: { stroke: token("--pf-t--global--border--color--default"), width: 1 },
    ticks: { show: false },
    font: `12px ${style.fontFamily}`,
  };
  return {
    width: element.clientWidth || 300,
    height: HEIGHT,
    padding: PADDING,
    cursor: { sync: { key: "vm-metrics" }, drag: { x: false, y: false }, points: { size: 6 } },
    legend: { live: true },
    scales: {
      x: { range: (_plot, _oldest, newest) => shownTime(span(), newest) },
      y: {
        range: (_plot, _least, most) => {
          const all = marks(Math.max(most ?? 0, id === "cpu" ? LEAST.cpu : LEAST.other), binary);
          return [0, all.at(-1) ?? 1];
        },
      },
    },
    axes: [
      { ...axis, space: 80, size: 28, values: timesOf },
      {
        ...axis,
        size: BESIDE,
        splits: (_plot, _index, _least, most) => marks(most, binary),
        values: (_plot, splits) => splits.map((value) => show(value).replace(/(\.\d*[1-9])0+ /, "$1 ")), // 7.5 beside 10
      },
    ],
    series: [
      { value: (plot, at) => moment(at ?? plot.data[0].at(-1) ?? 0) },
      ...lines.map((line, index) => ({
        label: line.title,
        stroke: colours[index],
        fill: lines.length === 1 ? faded(colours[index] ?? "") : undefined,
        width: 1.5,
        spanGaps: false,
        points: { show: false },
        value: (plot: uPlot, value: number | null, line: number, at: number | null) => {
          const shown = at === null ? plot.data[line]?.at(-1) : value; // where nobody points, the newest
          return shown === null || shown === undefined ? "not measured" : show(shown);
        },
      })),
    ],
  };
}

function timesOf(_plot: uPlot, splits: number[]): string[] {
  const step = (splits[1] ?? 0) - (splits[0] ?? 0);
  const form = new Intl.DateTimeFormat(undefined, axisForm(splits[0] ?? 0, splits.at(-1) ?? 0, step));
  return splits.map((at) => form.format(at * 1000));
}

const faded = (colour: string) => `color-mix(in srgb, ${colour} ${FILLED * 100}%, transparent)`;
