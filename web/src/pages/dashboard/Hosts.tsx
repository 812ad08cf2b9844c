/** All hosts, where there are several: what their VMs have been given of each, and what is wrong with it. */
import { Card, CardBody, CardTitle } from "@patternfly/react-core";
import { Link } from "react-router";
import type { HostSummary } from "@/api/schema";
import { count, mib } from "@/ui/format";
import { HostName } from "@/ui/HostName";
import { When } from "@/ui/When";
import { fewHosts, given, MOST } from "./fewHosts";
import { Bar } from "./Host";

const DUTY: Record<HostSummary["duty"], string> = {
  active: "",
  draining: "being drained",
  maintenance: "in maintenance",
};

function Lost({ host: { unreachable_since: silent, dead_since: dead } }: { host: HostSummary }) {
  if (silent === undefined) return null;
  return (
    <>
      ; {dead === undefined ? "last heard" : "confirmed dead"} <When at={dead ?? silent} />
    </>
  );
}

export function Hosts({ hosts }: { hosts: readonly HostSummary[] }) {
  return (
    <Card component="section" aria-labelledby="hosts">
      <CardTitle component="h2" id="hosts">
        Hosts
      </CardTitle>
      <CardBody>
        {fewHosts(hosts).map((one) => (
          <div key={one.id} className="v-item">
            <Bar
              title={<HostName host={one} />}
              value={given(one)}
              words={`${mib(one.memory_given_mib)} of ${mib(one.memory_mib)} given to VMs`}
            />
            <p className="v-subtle">
              <Link to={`/vms?host=${one.id}`}>{count(one.vms.total, "VM")}</Link>, {one.vms.running} running
              {DUTY[one.duty] && `; ${DUTY[one.duty]}`}
              <Lost host={one} />
            </p>
          </div>
        ))}
        {hosts.length > MOST && <Link to="/hosts">All {hosts.length} hosts</Link>}
      </CardBody>
    </Card>
  );
}
