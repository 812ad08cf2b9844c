/** A disk is taken from a VM, also while it runs; its data stays. */
import type { Medium } from "@/api/live";
import type { VmInfo } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { Confirm } from "@/ui/Confirm";
import { idWord, vmCli } from "@/ui/vmCli";
import { changing } from "./changing";
import { detached } from "./drives";

export function Detach({ info, medium, onClose }: { info: VmInfo; medium: Medium; onClose: () => void }) {
  const act = useAction();
  const lives = info.state !== "STOPPED";
  const change = detached(info, medium.mid);
  return (
    <Confirm
      title={`Detach ${medium.name} from ${info.name}?`}
      verb="Detach"
      danger={lives}
      cli={vmCli(info, "detach", idWord(medium.mid))}
      request={{ method: "patch", path: "/v/vm", body: { vmid: info.vmid, ...change } }}
      onConfirm={() =>
        act(
          changing(info, change, {
            pending: `Detaching ${medium.name}`,
            done: `${medium.name} detached`,
          }),
        )
      }
      onClose={onClose}
    >
      <p>
        Nothing on it is lost: it remains under Media, and can be attached again.
        {lives && " The guest loses it at once: unmount it there first."}
      </p>
    </Confirm>
  );
}
