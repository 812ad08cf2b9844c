/** A console in a window of its own, without the page around it. */
import { Suspense, useEffect } from "react";
import { Navigate } from "react-router";
import { useMay, type Vm } from "@/api/live";
import { Loading } from "@/ui/Loading";
import { ConsoleShell } from "./console/ConsoleShell";
import { Screen } from "./console/Screen";
import { Serial } from "./serial/Serial";
import { OfVm } from "./VmPage";
import { VmTabs } from "./VmTabs";
import "./vm.css";

const TABS = [
  { tab: "console", title: "Console", show: Screen },
  { tab: "serial", title: "Serial", show: Serial },
];

export default function VmWindow() {
  return <OfVm>{(vm, tab) => <Shown vm={vm} tab={tab} />}</OfVm>;
}

function Shown({ vm, tab }: { vm: Vm; tab: string }) {
  const may = useMay();
  const place = TABS.find((one) => one.tab === tab);
  useEffect(() => {
    document.title = vm.name;
  }, [vm.name]);
  // The page says what is needed, and whom to ask.
  if (!place || !may("vm.interact", vm.gid)) return <Navigate to={`/vms/${vm.vmid}/${tab}`} replace />;
  return (
    <ConsoleShell vm={vm} tab={tab} own tabs={<VmTabs vm={vm} tabs={TABS} here={tab} base="/window/vms" />}>
      <Suspense fallback={<Loading />}>
        <place.show vm={vm} />
      </Suspense>
    </ConsoleShell>
  );
}
