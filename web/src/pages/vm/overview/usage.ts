/** What a VM takes now, in words, and lately, as lines. */
import type { VmMetrics } from "@/api/schema";
import { mib, percent, rate } from "@/ui/format";

export interface Use {
  title: string;
  /** What it is now, or that nothing is known. */
  now: string;
  /** Of how much, or what the number is. */
  of: string;
  lines: (number | null)[][];
  top?: number;
}

const last = (values: readonly (number | null)[] | undefined): number | null => values?.at(-1) ?? null;
const said = (value: number | null, words: (value: number) => string) => (value === null ? "–" : words(value));

/** `cpus`: those that it runs with, all of them are 100%. */
export function usesOf(metrics: VmMetrics, cpus: number): Use[] {
  const cpu = metrics.cpu.map((value) => (value === null ? null : value / cpus));
  const { memory_mib, given_mib, disk_read, disk_written, net_received, net_sent } = metrics;
  const both = (first: number | null, second: number | null, words: [string, string]) =>
    first === null && second === null
      ? "\u00a0" // nothing is measured yet; its line has its place
      : `${said(first, rate)} ${words[0]}, ${said(second, rate)} ${words[1]}`;
  const uses: Use[] = [
    {
      title: "CPU",
      now: said(last(cpu), percent),
      of: cpus === 1 ? "of 1 CPU" : `of ${cpus} CPUs`,
      lines: [cpu],
      top: 100,
    },
    {
      title: "Memory",
      now: said(last(memory_mib), mib),
      of: `for the guest's ${mib(given_mib)} and QEMU itself`,
      lines: [memory_mib],
      top: given_mib,
    },
    {
      title: "Disk",
      now: said(sum(last(disk_read), last(disk_written)), rate),
      of: both(last(disk_read), last(disk_written), ["read", "written"]),
      lines: [disk_read, disk_written],
    },
  ];
  if (net_received && net_sent)
    uses.push({
      title: "Network",
      now: said(sum(last(net_received), last(net_sent)), rate),
      of: both(last(net_received), last(net_sent), ["received", "sent"]),
      lines: [net_received, net_sent],
    });
  return uses;
}

const sum = (first: number | null, second: number | null) =>
  first === null && second === null ? null : (first ?? 0) + (second ?? 0);
