/** How many VMs are in which state, each number a way to them. */
import { Card, CardBody, CardTitle, Content } from "@patternfly/react-core";
import { Link } from "react-router";
import type { Vm } from "@/api/live";
import type { State } from "@/api/schema";
import { count, mib } from "@/ui/format";
import { Status, type Tone } from "@/ui/labels";

const STEADY: { state: State; title: string; tone: Tone }[] = [
  { state: "RUNNING", title: "Running", tone: "ok" },
  { state: "PAUSED", title: "Paused", tone: "warn" },
  { state: "STOPPED", title: "Stopped", tone: "off" },
];

export function Machines({ vms }: { vms: readonly Vm[] }) {
  const of = (state: State) => vms.filter((vm) => vm.state === state).length;
  const changing = vms.filter((vm) => !STEADY.some(({ state }) => state === vm.state)).length;
  const up = vms.filter((vm) => vm.state !== "STOPPED");
  const sum = (list: readonly Vm[], of: (vm: Vm) => number) => list.reduce((total, vm) => total + of(vm), 0);
  return (
    <Card component="section" aria-labelledby="machines">
      <CardTitle component="h2" id="machines">
        Virtual machines
      </CardTitle>
      <CardBody>
        <ul className="v-counts">
          {STEADY.map(({ state, title, tone }) => (
            <li key={state}>
              <Link to={`/vms?state=${state.toLowerCase()}`}>
                <span className="v-number-large">{of(state).toLocaleString()}</span>
                <Status tone={tone}>{title}</Status>
              </Link>
            </li>
          ))}
          {changing > 0 && (
            <li>
              <Link to="/vms?state=changing">
                <span className="v-number-large">{changing.toLocaleString()}</span>
                <Status tone="busy">Changing</Status>
              </Link>
            </li>
          )}
        </ul>
        <Content component="p" className="v-subtle">
          {up.length > 0
            ? `Running and paused VMs have ${count(
                sum(up, (vm) => vm.cpus),
                "CPU",
              )} and ${mib(sum(up, (vm) => vm.memory_mib))} of memory.`
            : `${count(vms.length, "VM")} in total; none is running.`}
        </Content>
      </CardBody>
    </Card>
  );
}
