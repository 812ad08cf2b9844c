/** What the next start of a VM does, once: it is kept until then, and another choice replaces it. */
import { FormGroup, FormSelect, FormSelectOption } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import type { Vm } from "@/api/live";
import type { NextBoot as Choice } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { useAttachable } from "@/ui/attachable";
import { Confirm } from "@/ui/Confirm";
import { vmCli } from "@/ui/vmCli";
import { useVmInfo } from "./useVmInfo";

const NORMAL = "normal";
const SETUP = "setup";

/** As the command line writes it. */
export const wordOf = (choice: Choice | undefined): string => {
  if (choice?.mid !== undefined) return choice.mid;
  if (choice?.nic !== undefined) return `nic:${choice.nic}`;
  return choice?.firmware_setup ? SETUP : NORMAL;
};

const choiceOf = (word: string): Choice => {
  if (word === NORMAL) return {};
  if (word === SETUP) return { firmware_setup: true };
  return word.startsWith("nic:") ? { nic: Number(word.slice(4)) } : { mid: word };
};

export function NextBoot({ vm, onClose }: { vm: Vm; onClose: () => void }) {
  const act = useAction();
  const info = useVmInfo(vm).data;
  const known = useAttachable(vm.gid);
  const [word, setWord] = useState(wordOf(vm.next_boot));
  const body = { vmid: vm.vmid, ...choiceOf(word) };
  return (
    <Confirm
      title={`Boot ${vm.name} once`}
      verb="Save"
      danger={false}
      cli={vmCli(vm, "next-boot", word)}
      request={{ method: "put", path: "/v/vm/boot", body }}
      onConfirm={() =>
        act({
          pending: `Choosing the next start of ${vm.name}`,
          done: word === NORMAL ? `${vm.name} starts in its normal boot order` : `Next start of ${vm.name} set`,
          do: () => call("put", "/v/vm/boot", body),
        })
      }
      onClose={onClose}
    >
      <FormGroup label="Boot from" fieldId="next-boot">
        <FormSelect id="next-boot" value={word} onChange={(_event, chosen) => setWord(chosen)}>
          <FormSelectOption value={NORMAL} label="The normal boot order" />
          <FormSelectOption value={SETUP} label="Firmware setup" />
          {vm.media.map((mid) => (
            <FormSelectOption key={mid} value={mid} label={known.find((one) => one.mid === mid)?.name ?? mid} />
          ))}
          {info?.interfaces.map((one, place) => (
            <FormSelectOption key={one.id} value={`nic:${one.id}`} label={`Network boot from NIC ${place + 1}`} />
          ))}
        </FormSelect>
      </FormGroup>
    </Confirm>
  );
}
