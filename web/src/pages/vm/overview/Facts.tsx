/** What a VM is made of. */
import { Button, Card, CardBody, CardTitle, DescriptionList } from "@patternfly/react-core";
import { useState } from "react";
import { useMay, type Vm } from "@/api/live";
import type { VmInfo } from "@/api/schema";
import { mib } from "@/ui/format";
import { Fact } from "./Fact";
import { TakeFromHost } from "./TakeFromHost";

const ASKED: Partial<Record<VmInfo["state"], string>> = { RUNNING: "running", PAUSED: "paused", STOPPED: "stopped" };

export function Facts({ vm, info }: { vm: Vm; info: VmInfo }) {
  const [taking, setTaking] = useState(false);
  const mayAlter = useMay()("vm.alter", vm.gid);
  return (
    <Card isFullHeight>
      <CardTitle component="h2">Virtual machine</CardTitle>
      <CardBody>
        <DescriptionList isHorizontal isCompact>
          <Fact name="CPUs">{info.cpus}</Fact>
          <Fact name="Memory">{mib(info.memory_mib)}</Fact>
          <Fact name="Last requested">{ASKED[vm.wanted] ?? vm.wanted}</Fact>
          <Fact name="Starts when the server starts">{info.autostart ? "yes" : "no"}</Fact>
          <Fact name="Type">{info.type}</Fact>
          <Fact name="Machine type">{info.machine_type}</Fact>
          <Fact name="Hardware">{info.hardware}</Fact>
          <Fact name="Firmware">
            <span className="v-breaks">{info.firmware}</span>{" "}
            {mayAlter && (
              <Button variant="link" isInline onClick={() => setTaking(true)}>
                Use this host's…
              </Button>
            )}
          </Fact>
          {info.rosetta && <Fact name="Rosetta">requested; used if the host supports it</Fact>}
          {info.notes && (
            <Fact name="Notes">
              <span className="v-breaks" style={{ whiteSpace: "pre-wrap" }}>
                {info.notes}
              </span>
            </Fact>
          )}
          <Fact name="Id">{info.vmid}</Fact>
        </DescriptionList>
        {taking && <TakeFromHost vm={vm} onClose={() => setTaking(false)} />}
      </CardBody>
    </Card>
  );
}
