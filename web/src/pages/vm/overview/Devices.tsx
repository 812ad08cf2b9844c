/** What is attached to a VM: each leads to where it is changed. */
import { Card, CardBody, CardHeader, CardTitle } from "@patternfly/react-core";
import type { ReactNode } from "react";
import { Link } from "react-router";
import type { VmInfo } from "@/api/schema";
import { Icon, type IconName } from "@/look/Icon";
import { useAttachable } from "@/ui/attachable";
import { bytes } from "@/ui/format";
import { mediumType } from "@/ui/labels";
import { MODES } from "../settings/modes";

export function Devices({ info }: { info: VmInfo }) {
  const known = useAttachable(info.gid);
  const settings = `/vms/${info.vmid}/settings`;
  return (
    <Card component="section" aria-label="Devices">
      <CardHeader actions={{ hasNoOffset: true, actions: <Link to={settings}>Change</Link> }}>
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
              index === 0 && info.media.length > 1 && "boots first",
            ];
            return (
              <Device
                key={mid}
                icon="media"
                to={`${settings}#mode-${index}`}
                name={medium?.name ?? mid}
                words={words.filter(Boolean).join(", ")}
              >
                {medium && <Link to={`/media/${mid}`}>Show the medium</Link>}
              </Device>
            );
          })}
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
    </Card>
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
