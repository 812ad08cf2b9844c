/** What is attached to a VM: each leads to where it is changed. */
import { Button, Card, CardBody, CardHeader, CardTitle } from "@patternfly/react-core";
import { type ReactNode, useState } from "react";
import { Link } from "react-router";
import { call } from "@/api/call";
import { type Medium, useMay } from "@/api/live";
import type { VmInfo } from "@/api/schema";
import { Icon, type IconName } from "@/look/Icon";
import { useAction } from "@/ui/actions";
import { useAttachable } from "@/ui/attachable";
import { bytes } from "@/ui/format";
import { mediumType } from "@/ui/labels";
import { canGrow } from "../../media/content";
import { GrowMedium } from "../../media/GrowMedium";
import { bootOrder } from "../settings/boot";
import { isIso } from "../settings/mediaText";
import { MODES } from "../settings/modes";
import { ChangeDisc } from "./ChangeDisc";
import { type Drive, ejected, isDrive } from "./drives";

export function Devices({ info }: { info: VmInfo }) {
  const known = useAttachable(info.gid);
  const may = useMay();
  const [changed, setChanged] = useState<Drive>();
  const [grown, setGrown] = useState<Medium>();
  const settings = `/vms/${info.vmid}/settings`;
  const order = bootOrder(info);
  const several = order.length > 1;
  const first = order[0];
  return (
    <Card component="section" aria-label="Devices">
      <CardHeader
        actions={{
          hasNoOffset: true,
          actions: <Link to={settings}>{may("vm.alter", info.gid) ? "Change" : "Show all"}</Link>,
        }}
      >
        <CardTitle component="h2">Devices</CardTitle>
      </CardHeader>
      <CardBody>
        <ul className="v-plain-list v-devices">
          {info.media.map(({ mid, mode, readonly }, index) => {
            const medium = known.find((one) => one.mid === mid);
            const words = [
              medium && mediumType(medium.type),
              medium && bytes(medium.size),
              MODES[mode] ?? mode,
              readonly && "read-only",
              several && first?.of === "media" && first.index === index && "boots first",
            ];
            return (
              <Device
                key={mid}
                icon="media"
                to={`${settings}#mode-${index}`}
                name={medium?.name ?? mid}
                words={words.filter(Boolean).join(", ")}
              >
                {may("vm.alter", info.gid) && medium && isIso(medium) && isDrive(mode) ? (
                  <Disc info={info} drive={{ mode, disc: mid }} name={medium.name} onChange={setChanged} />
                ) : (
                  medium && <Disk medium={medium} onGrow={() => setGrown(medium)} />
                )}
              </Device>
            );
          })}
          {info.drives.map((one, index) => (
            <Device
              // biome-ignore lint/suspicious/noArrayIndexKey: drives of one mode are alike
              key={`drive-${index}`}
              icon="media"
              to={`${settings}#media`}
              name="CD-ROM drive"
              words={`${MODES[one.mode]}, empty`}
            >
              {may("vm.alter", info.gid) && (
                <Button variant="link" isInline onClick={() => setChanged({ mode: one.mode })}>
                  Insert a disc
                </Button>
              )}
            </Device>
          ))}
          {info.displays.map((one, index) => (
            <Device
              key={one.name}
              icon="vm"
              to={`${settings}#display-${index}-name`}
              name={one.name}
              words={`Display, ${one.width}×${one.height}`}
            />
          ))}
        </ul>
        {info.media.length === 0 && (
          <span className="v-subtle">No disk and no ISO is attached: it has nothing to boot from.</span>
        )}
      </CardBody>
      {changed && <ChangeDisc info={info} drive={changed} onClose={() => setChanged(undefined)} />}
      {grown && <GrowMedium medium={grown} onClose={() => setGrown(undefined)} />}
    </Card>
  );
}

function Disk({ medium, onGrow }: { medium: Medium; onGrow: () => void }) {
  const may = useMay();
  return (
    <div className="v-disc">
      {may("media.create", medium.gid) && canGrow(medium) && (
        <Button variant="link" isInline onClick={onGrow} aria-label={`Grow ${medium.name}`}>
          Grow
        </Button>
      )}
      <Link to={`/media/${medium.mid}`} aria-label={`Open ${medium.name}`}>
        Open
      </Link>
    </div>
  );
}

interface DiscProps {
  info: VmInfo;
  drive: Drive;
  name: string;
  onChange: (drive: Drive) => void;
}

function Disc({ info, drive, name, onChange }: DiscProps) {
  const act = useAction();
  const eject = () =>
    act({
      pending: `Ejecting ${name}`,
      done: ({ waiting }) => `${name} is ejected${waiting.includes("media") ? " at the next start" : ""}`,
      do: () => call("patch", "/v/vm", { vmid: info.vmid, revision: info.revision, ...ejected(info, drive) }),
    });
  return (
    <div className="v-disc">
      <Button variant="link" isInline onClick={() => onChange(drive)}>
        Change disc
      </Button>
      <Button variant="link" isInline onClick={() => void eject()} aria-label={`Eject ${name}`}>
        Eject
      </Button>
    </div>
  );
}

interface DeviceProps {
  icon: IconName;
  to: string;
  name: string;
  words: string;
  children?: ReactNode;
}

function Device({ icon, to, name, words, children }: DeviceProps) {
  return (
    <li>
      <Icon name={icon} />
      <div className="v-breaks">
        <div>
          <Link to={to}>{name}</Link>
        </div>
        <small className="v-subtle">{words}</small>
      </div>
      {children}
    </li>
  );
}
