/** The tab of the serial console: live while the VM runs, its kept log while it does not. */
import { lazy, Suspense } from "react";
import type { Vm } from "@/api/live";
import { Waiting } from "@/app/App";

const SerialTerminal = lazy(() => import("./Terminal"));
const KeptLog = lazy(() => import("./KeptLog"));

export function Serial({ vm }: { vm: Vm }) {
  return (
    <Suspense fallback={<Waiting />}>
      {vm.state === "STOPPED" ? <KeptLog vm={vm} /> : <SerialTerminal vm={vm} />}
    </Suspense>
  );
}
