/** The columns of the table of VMs. */
import type { ReactNode } from "react";
import { Link } from "react-router";
import type { Vm } from "@/api/live";
import { AddressText } from "@/ui/AddressText";
import { addressWords, isReserved, mainAddress, RESERVED } from "@/ui/addresses";
import { ago, mib, moment, percent, uptime } from "@/ui/format";
import { NONE, StateLabel, Tag, vmProblem } from "@/ui/labels";
import { PathText } from "@/ui/PathText";
import type { Column } from "@/ui/table/DataTable";
import { NAMES } from "@/ui/texts/names";
import { withMediaNames } from "@/ui/texts/words";
import { waitingWords } from "@/ui/vmSettings";
import { useNow } from "@/ui/When";
import { Thumbnail } from "./Thumbnail";
import { cpuOf, type Usages } from "./usage";

/** Those of what VMs take: it is asked for while one of them is shown. */
export const USAGE_COLUMNS = ["usage", "taken", "uptime"];

const HOST: Column<Vm> = {
  key: "host",
  title: "Host",
  width: "8rem",
  cell: (vm) => vm.host?.name,
  sort: (vm) => vm.host?.name ?? "",
};

/** `path` gives a group's path of names; `several`: there is more than one host. */
export const columns = (path: (gid: number) => string, usages: Usages, several: boolean): Column<Vm>[] => [
  {
    key: "name",
    title: "Name",
    names: true,
    cell: (vm) => <Link to={`/vms/${vm.vmid}`}>{vm.name}</Link>,
    sort: (vm) => vm.name,
  },
  {
    key: "state",
    title: "State",
    phone: "first",
    cell: (vm) => <State vm={vm} />,
    sort: (vm) => vm.state,
    text: (vm) => `${vm.state} ${problemOf(vm)} ${waitingWords(vm.waiting)}`,
  },
  {
    key: "group",
    title: "Group",
    width: "8rem",
    cell: (vm) => <PathText path={path(vm.gid)} />,
    sort: (vm) => path(vm.gid),
  },
  ...(several ? [HOST] : []),
  {
    key: "cpus",
    title: "CPUs",
    width: "5rem",
    number: true,
    unit: (vm) => (vm.cpus === 1 ? "CPU" : "CPUs"),
    cell: (vm) => vm.cpus,
    sort: (vm) => vm.cpus,
    text: () => "",
  },
  {
    key: "memory",
    title: "Memory",
    width: "6.5rem",
    nowrap: true,
    number: true,
    cell: (vm) => mib(vm.memory_mib),
    sort: (vm) => vm.memory_mib,
    text: () => "",
  },
  {
    key: "usage",
    title: "CPU use",
    width: "6.5rem",
    nowrap: true,
    number: true,
    optional: true,
    unit: "CPU",
    cell: (vm) => shownOr(cpuOf(vm, usages), percent),
    sort: (vm) => cpuOf(vm, usages) ?? -1,
    text: () => "",
  },
  {
    key: "taken",
    title: "Memory taken",
    width: "8.5rem",
    nowrap: true,
    number: true,
    optional: true,
    unit: "taken",
    cell: (vm) => shownOr(usages.get(vm.vmid)?.memory_mib, mib),
    sort: (vm) => usages.get(vm.vmid)?.memory_mib ?? -1,
    text: () => "",
  },
  {
    key: "addresses",
    title: "Addresses",
    width: "11.5rem",
    cell: (vm) => <Address vm={vm} />,
    sort: (vm) => mainAddress(vm) ?? "",
    text: (vm) => vm.addresses?.join(" ") ?? "",
  },
  {
    key: "macs",
    title: "MAC addresses",
    width: "10rem",
    optional: true,
    cell: (vm) => vm.macs && <span title={vm.macs.join(", ")}>{vm.macs[0]}</span>,
    sort: (vm) => vm.macs?.[0] ?? "",
    text: (vm) => vm.macs?.join(" ") ?? "",
  },
  {
    key: "uptime",
    title: "Uptime",
    width: "7rem",
    nowrap: true,
    number: true,
    optional: true,
    unit: "up",
    cell: (vm) => shownOr(usages.get(vm.vmid)?.since, (since) => <Uptime since={since} />),
    sort: (vm) => -(usages.get(vm.vmid)?.since ?? Number.POSITIVE_INFINITY),
    text: () => "",
  },
  {
    key: "nics",
    title: "NICs",
    width: "7rem",
    optional: true,
    cell: (vm) => vm.nics.map((one) => (one === "BRIDGE" ? "Bridge" : one)).join(", ") || "None",
    sort: (vm) => vm.nics.join(),
  },
  {
    key: "screen",
    phone: "none",
    title: "Screen",
    width: "8rem",
    optional: true,
    cell: (vm) => (
      <Link
        className="v-vms-thumb"
        to={vm.state === "STOPPED" ? `/vms/${vm.vmid}` : `/vms/${vm.vmid}/console`}
        aria-label={vm.state === "STOPPED" ? `${vm.name}, stopped` : `Console of ${vm.name}`}
      >
        <Thumbnail vm={vm} />
      </Link>
    ),
  },
  {
    key: "displays",
    title: "Displays",
    width: "8rem",
    optional: true,
    cell: (vm) => vm.displays.map((one) => `${one.width}×${one.height}`).join(", ") || "None",
    sort: (vm) => vm.displays.length,
    text: (vm) => vm.displays.map((one) => one.name).join(" "),
  },
  {
    key: "autostart",
    title: "Autostart",
    width: "7rem",
    optional: true,
    cell: (vm) => (vm.autostart ? "Yes" : "No"),
    sort: (vm) => (vm.autostart ? 1 : 0),
    text: (vm) => (vm.autostart ? "autostart" : ""),
  },
];

function shownOr<T>(value: T | undefined, show: (value: T) => ReactNode): ReactNode {
  return value === undefined ? NONE : show(value);
}

function Uptime({ since }: { since: number }) {
  return <span title={`Since ${moment(since)}`}>{uptime(Math.max(0, useNow() - since))}</span>;
}

function Address({ vm }: { vm: Vm }) {
  const main = mainAddress(vm);
  if (main === undefined) return null;
  const all = vm.addresses?.map((one) => addressWords(vm, one)).join(", ");
  return (
    <span title={all} className={isReserved(vm, main) ? "v-subtle v-vms-reserved" : undefined}>
      <AddressText text={main} />
      {isReserved(vm, main) && ` ${RESERVED}`}
    </span>
  );
}

const problemOf = (vm: Vm) => withMediaNames(vmProblem(vm) ?? "", NAMES);

export function State({ vm }: { vm: Vm }) {
  const why = problemOf(vm);
  const since =
    vm.state === "STOPPING" && vm.stopping_since !== undefined
      ? `the power button was pressed ${ago(vm.stopping_since)}`
      : vm.reason && withMediaNames(vm.reason.message, NAMES);
  return (
    <span className="v-vms-state" title={why ? undefined : since}>
      <StateLabel vm={vm} />
      {vm.waiting.length > 0 && (
        <span className="v-vms-waiting" title={`Takes effect at the next start: ${waitingWords(vm.waiting)}`}>
          <Tag tone="busy">Restart needed</Tag>
        </span>
      )}
      {why && (
        <span className="v-vms-why" title={why}>
          {why}
        </span>
      )}
    </span>
  );
}
