/** A larger disk. It never becomes smaller: what lies at its end would be lost. */
import { FormGroup } from "@patternfly/react-core";
import { useState } from "react";
import { type Medium, useMay } from "@/api/live";
import { useAnswer } from "@/api/queries";
import { AmountInput } from "@/ui/AmountInput";
import { DISK_HELP, diskBytes } from "@/ui/amounts";
import { FormDialog, useRefusal } from "@/ui/FormDialog";
import { bytes } from "@/ui/format";
import { useGroupPath } from "@/ui/groups";
import { idWord } from "@/ui/vmCli";
import { useWhoGivesMore } from "@/ui/WhoGivesMore";
import { growProblem, roomProblem, scarceWords } from "./rules";
import { Below } from "./TargetFields";
import { useAlter } from "./useAlter";

const SECTOR = 512;

export function GrowMedium({ medium, onClose }: { medium: Medium; onClose: () => void }) {
  const refused = useRefusal(["size"]);
  const may = useMay();
  const [written, setWritten] = useState(bytes(2 * medium.size));
  const typed = diskBytes(written);
  const size = typed === undefined ? undefined : Math.ceil(typed / SECTOR) * SECTOR;
  const growth = (size ?? medium.size) - medium.size;
  const sees = may("pool.list", medium.gid);
  const pools = useAnswer("post", "/m/pool/list", { gid: medium.gid }, { topics: ["pool", "quota"], enabled: sees });
  const pool = pools.data?.pools.find((one) => one.mpid === medium.mpid);
  const ask = useWhoGivesMore(medium.gid, "assign_pool");
  const path = useGroupPath()(medium.gid);
  const room = roomProblem(pool, growth, { path, ask }, { more: true });
  const unfit = growProblem(size, medium.size);
  const wrong = unfit ?? room;
  const body = { mid: medium.mid, revision: medium.revision, size: size ?? medium.size };
  const submit = useAlter(body, refused, `Growing ${medium.name}`, `${medium.name} grown to ${bytes(size ?? 0)}`);
  return (
    <FormDialog
      title={`Grow ${medium.name}`}
      about={`Its size is ${bytes(medium.size)}. Extend the partition and the file system in the guest afterwards; cloud images do that at their next start.`}
      verb="Grow"
      ready={!wrong}
      lacking={unfit ? undefined : room}
      refusal={refused.last}
      cli={["velocity", "media", "set", idWord(medium.mid), "--size", String(size ?? written)]}
      request={{ method: "patch", path: "/m/media", body }}
      onSubmit={submit}
      onClose={onClose}
    >
      <FormGroup label="New size" fieldId="grow-size" isRequired>
        <AmountInput
          id="grow-size"
          unit="GiB"
          value={written}
          onChange={(_event, value) => setWritten(value)}
          validated={(wrong ?? refused.at("size")) ? "error" : "default"}
          isRequired
        />
        <Below problem={wrong ?? refused.at("size")} warning={scarceWords(pool?.free, growth)}>
          {`Space is taken only as the guest writes. ${DISK_HELP}`}
        </Below>
      </FormGroup>
    </FormDialog>
  );
}
