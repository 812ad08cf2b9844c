/** What is asked for seldom: what the VM's hardware is, and how well its process is shut in. Folded. */
import { Button, DescriptionList, ExpandableSection } from "@patternfly/react-core";
import { useState } from "react";
import { useMay, type Vm } from "@/api/live";
import type { VmInfo } from "@/api/schema";
import { Fact } from "@/ui/Fact";
import { word } from "@/ui/labels";
import { IsolationCard } from "./IsolationCard";
import { TakeFromHost } from "./TakeFromHost";

export function Details({ vm, info }: { vm: Vm; info: VmInfo }) {
  const [taking, setTaking] = useState(false);
  const mayAlter = useMay()("vm.alter", vm.gid);
  const gaps = info.isolation?.gaps.length ?? 0;
  return (
    <ExpandableSection
      toggleText={gaps > 0 ? "Details, and what is not isolated on this host" : "Details"}
      className="v-overview-last"
    >
      <DescriptionList isHorizontal isCompact columnModifier={{ lg: "2Col" }} className="v-space-above">
        <Fact name="ID">{info.vmid}</Fact>
        <Fact name="Last requested">{word(vm.wanted)}</Fact>
        <Fact name="Type">{info.type}</Fact>
        <Fact name="Machine type">{info.machine_type}</Fact>
        <Fact name="Hardware">{info.hardware}</Fact>
        <Fact name="CPU model">{info.cpu}</Fact>
        <Fact name="Firmware">
          <span className="v-breaks">{info.firmware}</span>{" "}
          {mayAlter && (
            <Button variant="link" isInline onClick={() => setTaking(true)}>
              Use this host's…
            </Button>
          )}
        </Fact>
        {info.rosetta && <Fact name="Rosetta">requested; used if the host supports it</Fact>}
      </DescriptionList>
      {info.isolation && (
        <div className="v-space-above">
          <IsolationCard isolation={info.isolation} />
        </div>
      )}
      {taking && <TakeFromHost vm={vm} onClose={() => setTaking(false)} />}
    </ExpandableSection>
  );
}
