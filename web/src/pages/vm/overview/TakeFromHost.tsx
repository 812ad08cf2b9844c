/** A VM takes the firmware build and the machine type that its host has now: what changes is asked of the server first. */
import { Content, List, ListItem } from "@patternfly/react-core";
import { useEffect, useState } from "react";
import { call, plan } from "@/api/call";
import { messageOf } from "@/api/http";
import type { Vm } from "@/api/live";
import type { Plan } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { Confirm } from "@/ui/Confirm";
import { vmCli } from "@/ui/vmCli";

const WORDS: Record<string, string> = { machine_type: "Machine type", firmware: "Firmware" };

export function TakeFromHost({ vm, onClose }: { vm: Vm; onClose: () => void }) {
  const act = useAction();
  const [planned, setPlanned] = useState<Plan>();
  const [refused, setRefused] = useState<string>();
  const body = { vmid: vm.vmid, firmware: "host", machine_type: "latest" };
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked once, when the dialog opens
  useEffect(() => {
    plan("patch", "/v/vm", body).then(setPlanned, (error) => setRefused(messageOf(error)));
  }, []);
  const changes = planned?.steps.flatMap((step) => step.changes ?? []) ?? [];
  const take = () =>
    act({ pending: `Changing ${vm.name}`, done: `${vm.name} changed`, do: () => call("patch", "/v/vm", body) });
  return (
    <Confirm
      title={`Use this host's firmware and machine type for ${vm.name}?`}
      verb="Use them"
      danger={false}
      disabled={changes.length === 0}
      cli={vmCli(vm, "set", "--firmware", "host", "--machine", "latest")}
      request={{ method: "patch", path: "/v/vm", body }}
      onConfirm={take}
      onClose={onClose}
    >
      {refused}
      {planned && changes.length === 0 && "It has them already."}
      <List>
        {changes.map(({ field, old, new: next }) => (
          <ListItem key={field}>
            {WORDS[field] ?? field}: {String(old)} → {String(next)}
          </ListItem>
        ))}
      </List>
      {changes.length > 0 && (
        <Content component="p">
          They take effect {vm.state === "STOPPED" ? "at once" : "at the next start"}. Boot entries of the firmware
          stay, unless the new build keeps them in another layout.
        </Content>
      )}
    </Confirm>
  );
}
