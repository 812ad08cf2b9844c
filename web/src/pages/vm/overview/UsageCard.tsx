/** What a VM takes now, and over the last quarter of an hour. */
import { Card, CardBody, CardHeader, CardTitle } from "@patternfly/react-core";
import { Link } from "react-router";
import type { Vm } from "@/api/live";
import type { VmMetrics } from "@/api/schema";
import { Sparkline } from "@/ui/Sparkline";
import { useNow } from "@/ui/When";
import { usesOf } from "./usage";

/** Values of ten seconds: a quarter of an hour. */
const SLOTS = 90;
/** Seconds of a run after which a measurement is not to be expected soon. */
const LATE = 60;

interface Props {
  vm: Vm;
  metrics: VmMetrics | undefined;
  /** When its run began, as far as that is known. */
  since: number | undefined;
}

export function UsageCard({ vm, metrics, since }: Props) {
  const late = useNow() - (since ?? Number.POSITIVE_INFINITY) > LATE;
  return (
    <Card component="section" aria-label="Usage">
      <CardHeader actions={{ hasNoOffset: true, actions: <Link to={`/vms/${vm.vmid}/metrics`}>Metrics</Link> }}>
        <CardTitle component="h2">Usage, last 15 min</CardTitle>
      </CardHeader>
      <CardBody>
        {metrics && metrics.at.length > 0 ? (
          <ul className="v-plain-list v-uses">
            {usesOf(metrics, vm.cpus).map((use) => (
              <li key={use.title}>
                <span>{use.title}</span>
                <strong>{use.now}</strong>
                <Sparkline lines={use.lines} top={use.top} slots={SLOTS} />
                <span className="v-subtle">{use.of}</span>
              </li>
            ))}
          </ul>
        ) : (
          <span className="v-subtle">
            {vm.unreachable_since !== undefined
              ? "It is measured again when it responds."
              : late
                ? "It could not be measured so far."
                : "The first measurement appears within ten seconds."}
          </span>
        )}
      </CardBody>
    </Card>
  );
}
