import { PageSection } from "@patternfly/react-core";
import { Link } from "react-router";
import { useObjects, type Vm } from "@/api/live";
import { type Column, DataTable } from "@/ui/DataTable";
import { mib } from "@/ui/format";
import { StateLabel } from "@/ui/labels";
import { PageHead } from "@/ui/PageHead";

const COLUMNS: Column<Vm>[] = [
  {
    key: "name",
    title: "Name",
    names: true,
    cell: (vm) => <Link to={`/vms/${vm.vmid}`}>{vm.name}</Link>,
    sort: (vm) => vm.name,
  },
  { key: "state", title: "State", cell: (vm) => <StateLabel state={vm.state} />, sort: (vm) => vm.state },
  { key: "cpus", title: "CPUs", cell: (vm) => vm.cpus, sort: (vm) => vm.cpus },
  { key: "memory", title: "Memory", cell: (vm) => mib(vm.memory_mib), sort: (vm) => vm.memory_mib },
];

export default function Vms() {
  const vms = useObjects("vm");
  return (
    <>
      <PageHead title="Virtual machines" />
      <PageSection>
        <DataTable
          id="vms"
          label="Virtual machines"
          noun="machine"
          rows={vms}
          columns={COLUMNS}
          rowKey={(vm) => vm.vmid}
          rowName={(vm) => vm.name}
          empty={null}
          bulk={() => null}
        />
      </PageSection>
    </>
  );
}
