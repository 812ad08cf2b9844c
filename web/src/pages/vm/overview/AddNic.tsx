/** One more NIC for a VM, also while it runs. */
import { FormGroup } from "@patternfly/react-core";
import { useState } from "react";
import type { Nic, VmInfo } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { Choose } from "@/ui/Choose";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { called } from "@/ui/permissions";
import { useHostNics } from "@/ui/useHostNics";
import { vmWords } from "@/ui/vmCli";
import { nicsOf } from "../settings/nicText";
import { changing } from "./changing";
import { attachedWhen } from "./drives";

/** `bridged`: a bridge is proposed, where there is one. */
export function AddNic({ info, bridged, onClose }: { info: VmInfo; bridged: boolean; onClose: () => void }) {
  const act = useAction();
  const refused = useRefusal([]);
  const { mayList, nics: known } = useHostNics();
  const [chosen, setChosen] = useState<string>();
  const host = known.find((one) => String(one.nicid) === (chosen ?? (bridged ? String(known[0]?.nicid) : "")))?.nicid;
  const nic: Nic = host === undefined ? { type: "NAT" } : { type: "BRIDGE", host };
  const change = { nics: [...nicsOf(info), nic] };
  const { do: request, ...told } = changing(info, change, {
    pending: `Adding a NIC to ${info.name}`,
    done: `NIC added to ${info.name}`,
  });
  return (
    <FormDialog
      title={`Add a NIC to ${info.name}`}
      about={attachedWhen(info, "BLOCK")} // which takes a port of its own, too
      verb="Add"
      ready
      refusal={refused.last}
      cli={["velocity", "vm", "nic", "add", ...vmWords(info, [host === undefined ? "nat" : `bridge:${host}`])]}
      request={{ method: "patch", path: "/v/vm", body: { vmid: info.vmid, ...change } }}
      onSubmit={() => act({ ...told, do: () => refused.during(request) })}
      onClose={onClose}
    >
      <FormGroup label="Network" fieldId="added-nic">
        <Choose
          id="added-nic"
          value={host === undefined ? "" : String(host)}
          choices={[
            { value: "", label: "NAT: a private address and internet access" },
            ...known.map((one) => ({
              value: String(one.nicid),
              label: `Bridge: ${one.description || one.identifier}`,
            })),
          ]}
          onChange={setChosen}
        />
        <Hint>
          {mayList
            ? known.length === 0 && "The host has no NIC that VMs may be bridged to."
            : `Bridges need the permission ${called("nic.list")}.`}
        </Hint>
      </FormGroup>
    </FormDialog>
  );
}
