/** All hosts, where there are several: what their VMs have been given of each, and what is wrong with it. */
import { Card, CardBody, CardTitle } from "@patternfly/react-core";
import { Link } from "react-router";
import type { HostSummary } from "@/api/schema";
import { count, mib } from "@/ui/format";
import { When } from "@/ui/When";
import { Bar } from "./Host";

const DUTY: Record<HostSummary["duty"], string> = {
  active: "",
  draining: "being drained",
  maintenance: "in maintenance",
};

export function Hosts({ hosts }: { hosts: readonly HostSummary[] }) {
  return (
    <Card component="section" aria-labelledby="hosts">
      <CardTitle component="h2" id="hosts">
        Hosts
      </CardTitle>
      <CardBody>
        {hosts.map((one) => (
          <div key={one.id} className="v-item">
            <Bar
              title={one.name}
              value={one.memory_given_mib / Math.max(1, one.memory_mib)}
              words={`${mib(one.memory_given_mib)} of ${mib(one.memory_mib)} given to VMs`}
            />
            <p className="v-subtle">
              <Link to={`/vms?host=${one.id}`}>{count(one.vms.total, "VM")}</Link>, {one.vms.running} running
              {DUTY[one.duty] && `; ${DUTY[one.duty]}`}
              {one.unreachable_since !== undefined && (
                <>
                  ; has not responded since <When at={one.unreachable_since} />
                </>
              )}
            </p>
          </div>
        ))}
      </CardBody>
    </Card>
  );
}
