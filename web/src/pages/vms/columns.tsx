/** The columns of the table of VMs. */
import { Link } from "react-router";
import type { Vm } from "@/api/live";
import { ago, mib } from "@/ui/format";
import { StateLabel, Tag, vmProblem } from "@/ui/labels";
import type { Column } from "@/ui/table/DataTable";
import { waitingWords } from "@/ui/vmSettings";
import { Thumbnail } from "./Thumbnail";

/** `path` gives a group's path of names. */
export const columns = (path: (gid: number) => string): Column<Vm>[] => [
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
    text: (vm) => `${vm.state} ${vmProblem(vm) ?? ""}`,
  },
  { key: "group", title: "Group", width: "8rem", cell: (vm) => path(vm.gid), sort: (vm) => path(vm.gid) },
  {
    key: "cpus",
    title: "CPUs",
    width: "6rem",
    number: true,
    unit: (vm) => (vm.cpus === 1 ? "CPU" : "CPUs"),
    cell: (vm) => vm.cpus,
    sort: (vm) => vm.cpus,
    text: () => "",
  },
  {
    key: "memory",
    title: "Memory",
    width: "7rem",
    nowrap: true,
    number: true,
    cell: (vm) => mib(vm.memory_mib),
    sort: (vm) => vm.memory_mib,
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
    key: "waiting",
    title: "Next start",
    width: "8rem",
    cell: (vm) => vm.waiting.length > 0 && <Tag tone="busy">{waitingWords(vm.waiting)}</Tag>,
    sort: (vm) => vm.waiting.length,
    text: (vm) => waitingWords(vm.waiting),
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

export function State({ vm }: { vm: Vm }) {
  const why = vmProblem(vm);
  const since =
    vm.state === "STOPPING" && vm.stopping_since !== undefined
      ? `the power button was pressed ${ago(vm.stopping_since)}`
      : vm.reason?.message;
  return (
    <span className="v-vms-state" title={why ? undefined : since}>
      <StateLabel state={vm.state} />
      {why && <span className="v-vms-why">{why}</span>}
    </span>
  );
}
