/** Which ISO is put into a CD-ROM drive, also while the VM runs. */
import { FormGroup, FormSelect, FormSelectOption } from "@patternfly/react-core";
import { useState } from "react";
import { Link } from "react-router";
import type { VmInfo } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { useAttachable, useReachable } from "@/ui/attachable";
import { Confirm } from "@/ui/Confirm";
import { Hint } from "@/ui/FormDialog";
import { idWord, vmCli } from "@/ui/vmCli";
import { isIso } from "../settings/mediaText";
import { changing } from "./changing";
import { type Drive, inserted } from "./drives";

export function ChangeDisc({ info, drive, onClose }: { info: VmInfo; drive: Drive; onClose: () => void }) {
  const act = useAction();
  const taken = new Set(info.media.map((one) => one.mid));
  const there = useReachable(useAttachable(info.gid), info.gid, info.host);
  const isos = there.filter((one) => isIso(one) && !taken.has(one.mid));
  const [mid, setMid] = useState("");
  const disc = isos.find((one) => one.mid === mid);
  const change = inserted(info, drive, mid);
  const instead = drive.disc === undefined ? [] : ["--instead", idWord(drive.disc)];
  return (
    <Confirm
      title={drive.disc === undefined ? "Insert a disc" : "Change the disc"}
      verb="Insert"
      danger={false}
      disabled={!disc}
      cli={disc && vmCli(info, "cd", "insert", idWord(disc.mid), "--drive", drive.mode.toLowerCase(), ...instead)}
      request={{ method: "patch", path: "/v/vm", body: { vmid: info.vmid, ...change } }}
      onConfirm={() =>
        act(
          changing(info, change, {
            pending: `Inserting ${disc?.name} into ${info.name}`,
            done: `${disc?.name} inserted`,
          }),
        )
      }
      onClose={onClose}
    >
      <FormGroup label="ISO" fieldId="disc">
        <FormSelect id="disc" value={mid} onChange={(_event, chosen) => setMid(chosen)} isDisabled={isos.length === 0}>
          <FormSelectOption value="" label={isos.length > 0 ? "Choose one" : "There is no other ISO"} isPlaceholder />
          {isos.map((one) => (
            <FormSelectOption key={one.mid} value={one.mid} label={one.name} />
          ))}
        </FormSelect>
        {isos.length === 0 && (
          <Hint>
            <Link to="/media">Upload one, or fetch it from a URL</Link>
          </Hint>
        )}
      </FormGroup>
    </Confirm>
  );
}
