/** A VM's measured series as charts, and in words: gaps stay gaps, and are told. */
import type { VmMetrics } from "@/api/schema";
import { bytes, duration, percent, rate } from "@/ui/format";

export interface Line {
  title: string;
  values: (number | null)[];
}

export interface Chart {
  id: string;
  title: string;
  /** What is beside the title: in what it is measured. */
  unit: string;
  lines: Line[];
  /** A value as people read it. */
  show: (value: number) => string;
  /** Steps of 1024 (bytes) or of 10. */
  binary: boolean;
}

/**
 * Of NICs in QEMU's user network nothing is known: a VM with no other has no such chart. `unseen`: the VM has one;
 * `cpus`: how many CPUs it has now.
 */
export function chartsOf(metrics: VmMetrics, cpus: number, unseen = false): Chart[] {
  const charts: Chart[] = [
    {
      id: "cpu",
      title: "CPU",
      unit: cpus === 1 ? "of its CPU" : `100% is one of its ${cpus} CPUs`,
      lines: [{ title: "CPU", values: metrics.cpu }],
      show: percent,
      binary: false,
    },
    {
      id: "memory",
      title: "Memory",
      unit: `taken from the host, for the guest's ${bytes(metrics.given_mib * 2 ** 20)} and QEMU itself`,
      lines: [
        { title: "Memory", values: metrics.memory_mib.map((value) => (value === null ? null : value * 2 ** 20)) },
      ],
      show: bytes,
      binary: true,
    },
    {
      id: "disk",
      title: "Disk",
      unit: "all disks together",
      lines: [
        { title: "Read", values: metrics.disk_read },
        { title: "Written", values: metrics.disk_written },
      ],
      show: rate,
      binary: true,
    },
  ];
  if (metrics.net_received && metrics.net_sent)
    charts.push({
      id: "network",
      title: "Network",
      unit: unseen ? "all NICs but those with user-mode NAT" : "all NICs together",
      lines: [
        { title: "Received", values: metrics.net_received },
        { title: "Sent", values: metrics.net_sent },
      ],
      show: rate,
      binary: true,
    });
  return charts;
}

/** "8.0% on average, at most 95%" of what was measured: the last value stands in the legend. */
export function summary({ values }: Line, show: (value: number) => string): string {
  const measured = values.filter((value) => value !== null);
  if (measured.length === 0) return "nothing measured";
  const last = values.at(-1);
  const mean = measured.reduce((sum, value) => sum + value, 0) / measured.length;
  const now = last === null || last === undefined ? "not measured now, " : "";
  return `${now}${show(mean)} on average, at most ${show(Math.max(...measured))}`;
}

/**
 * How long of the time nothing was measured, of a VM that runs since its start; undefined: there is no gap. What takes
 * two measurements, as the CPU, is not known of the first: that is no gap.
 */
export function gaps(
  metrics: Pick<VmMetrics, "at" | "cpu" | "memory_mib" | "interval" | "running_since">,
): string | undefined {
  const began = metrics.running_since === undefined ? 0 : metrics.running_since + metrics.interval;
  const missing = metrics.at.filter(
    (at, index) => at > began && metrics.cpu[index] === null && metrics.memory_mib[index] === null,
  ).length;
  return missing === 0 ? undefined : duration(missing * metrics.interval);
}

/** At most `most` rows of a table, evenly over the time, the newest first and always in it. */
export function rowsOf(at: readonly number[], most: number): number[] {
  const step = Math.max(1, Math.ceil(at.length / most));
  const rows: number[] = [];
  for (let index = at.length - 1; index >= 0; index -= step) rows.push(index);
  return rows;
}

/** Four steps, as on each chart of a page. */
const STEPS = [0, 1, 2, 3, 4];

/** Where an axis has its marks: round numbers in steps of 1024 or of 10, from 0 to what nothing measured is above. */
export function marks(top: number, binary: boolean): number[] {
  if (!(top > 0)) return [0];
  const base = binary ? 1024 ** Math.floor(Math.log(Math.max(top, 1)) / Math.log(1024)) : 1;
  const least = top / base / (STEPS.length - 1);
  const power = 10 ** Math.floor(Math.log10(least));
  const whole = binary && base === 1; // of a byte there are no parts, and "1 B/s" twice says nothing
  const steps = [1, 2, 2.5, 5, 10].map((one) => one * power).filter((one) => !whole || Number.isInteger(one));
  const step = steps.find((one) => one >= least * 0.9999) ?? (whole ? 1 : least);
  return STEPS.map((number) => number * step * base);
}
