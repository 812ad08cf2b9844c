/** The tab of the graphical console: what stands in the way of it, or the console. */
import { EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter } from "@patternfly/react-core";
import { Suspense } from "react";

import { useMay, type Vm } from "@/api/live";
import { LinkButton } from "@/ui/LinkButton";
import { Loading } from "@/ui/Loading";
import { part } from "@/ui/part";
import { called } from "@/ui/permissions";
import { StartButton } from "../StartButton";

const DisplayConsole = part(() => import("./DisplayConsole"));

export function Screen({ vm }: { vm: Vm }) {
  const may = useMay();
  if (vm.displays.length === 0)
    return (
      <EmptyState titleText="This VM has no display" headingLevel="h2" variant="sm">
        <EmptyStateBody>
          It has only a serial console. A display can be added in its settings
          {may("vm.alter", vm.gid) ? "." : `, which needs the permission ${called("vm.alter")}.`}
        </EmptyStateBody>
        <EmptyStateFooter>
          <EmptyStateActions>
            <LinkButton variant="secondary" to={`/vms/${vm.vmid}/serial`}>
              Serial console
            </LinkButton>
          </EmptyStateActions>
        </EmptyStateFooter>
      </EmptyState>
    );
  if (vm.state === "STOPPED")
    return (
      <EmptyState titleText="The VM is stopped" headingLevel="h2" variant="sm">
        <EmptyStateBody>Its screen appears here when it starts.</EmptyStateBody>
        <EmptyStateFooter>
          <EmptyStateActions>
            <StartButton vm={vm} />
          </EmptyStateActions>
        </EmptyStateFooter>
      </EmptyState>
    );
  return (
    <Suspense fallback={<Loading />}>
      <DisplayConsole vm={vm} />
    </Suspense>
  );
}
