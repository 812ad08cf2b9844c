/** The tab of the serial console: live while the VM runs, its kept log while it does not. */
import { Suspense } from "react";
import type { Vm } from "@/api/live";
import { Loading } from "@/ui/Loading";
import { part } from "@/ui/part";

const SerialTerminal = part(() => import("./Terminal"));
const KeptLog = part(() => import("./KeptLog"));

export function Serial({ vm }: { vm: Vm }) {
  return (
    <Suspense fallback={<Loading />}>
      {vm.state === "STOPPED" ? <KeptLog vm={vm} /> : <SerialTerminal vm={vm} />}
    </Suspense>
  );
}
