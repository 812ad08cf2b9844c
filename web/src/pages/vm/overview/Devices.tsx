/** What is attached to a VM: a medium leads to its page, the rest to where it is changed. */
import { Button, Card, CardBody, CardHeader, CardTitle } from "@patternfly/react-core";
import { type ReactNode, useMemo, useState } from "react";
import { Link } from "react-router";
import { type Medium, useMay, useObjects } from "@/api/live";
import type { VmInfo } from "@/api/schema";
import { Icon, type IconName } from "@/look/Icon";
import { useAction } from "@/ui/actions";
import { useAttachable } from "@/ui/attachable";
import { bytes } from "@/ui/format";
import { mediumType } from "@/ui/labels";
import { CreateDisk } from "../../media/CreateDisk";
import { canGrow } from "../../media/content";
import { GrowMedium } from "../../media/GrowMedium";
import { diskName } from "../../media/rules";
import { placeWords } from "../settings/boot";
import { isIso } from "../settings/mediaText";
import { MODES } from "../settings/modes";
import { AttachMedium } from "./AttachMedium";
import { ChangeDisc } from "./ChangeDisc";
import { changing } from "./changing";
import { Detach } from "./Detach";
import { attached, attachedWhen, type Drive, ejected, isDrive } from "./drives";
import { useEmpty } from "./useEmpty";

type Wish = { is: "attach" | "new" } | { is: "disc"; drive: Drive } | { is: "grow" | "detach"; medium: Medium };

export function Devices({ info }: { info: VmInfo }) {
  const known = useAttachable(info.gid);
  const seen = useObjects("medium"); // those shared by a group above have no page for who does not list them there
  const may = useMay();
  const mayAlter = may("vm.alter", info.gid);
  const [wish, setWish] = useState<Wish>();
  const settings = `/vms/${info.vmid}/settings`;
  const attachedMedia = info.media.flatMap(({ mid }) => known.find((one) => one.mid === mid) ?? []);
  const bare = info.drives.length + info.displays.length === 0;
  const placed = placeWords(info, useEmpty(attachedMedia));
  return (
    <Card component="section" aria-label="Devices">
      <CardHeader
        actions={{
          hasNoOffset: true,
          actions: (
            <>
              {mayAlter && may("media.create", info.gid) && (
                <Button variant="link" isInline onClick={() => setWish({ is: "new" })}>
                  New disk
                </Button>
              )}
              {mayAlter && (
                <Button variant="link" isInline onClick={() => setWish({ is: "attach" })}>
                  Attach
                </Button>
              )}
              <Link to={settings}>{mayAlter ? "Change" : "Show all"}</Link>
            </>
          ),
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
              placed({ of: "media", index }),
            ];
            return (
              <Device
                key={mid}
                icon={medium && isIso(medium) ? "disc" : "disk"}
                to={seen.some((one) => one.mid === mid) ? `/media/${mid}` : undefined}
                name={medium?.name ?? mid}
                words={words.filter(Boolean).join(", ")}
              >
                <div className="v-disc">
                  {mayAlter && medium && isIso(medium) && isDrive(mode) ? (
                    <Disc info={info} drive={{ mode, disc: mid }} name={medium.name} onWish={setWish} />
                  ) : (
                    medium && <Disk medium={medium} mayAlter={mayAlter} onWish={setWish} />
                  )}
                  <Link to={`${settings}#mode-${index}`} aria-label={`Settings of ${medium?.name ?? mid}`}>
                    Settings
                  </Link>
                </div>
              </Device>
            );
          })}
          {info.drives.map((one, index) => (
            <Device
              // biome-ignore lint/suspicious/noArrayIndexKey: drives of one mode are alike
              key={`drive-${index}`}
              icon="drive"
              to={`${settings}#media`}
              name="CD-ROM drive"
              words={`${MODES[one.mode]}, empty`}
            >
              {mayAlter && (
                <Button variant="link" isInline onClick={() => setWish({ is: "disc", drive: { mode: one.mode } })}>
                  Insert a disc
                </Button>
              )}
            </Device>
          ))}
          {info.displays.map((one, index) => (
            <Device
              key={one.name}
              icon="display"
              to={`${settings}#display-${index}-name`}
              name={one.name}
              words={`Display, ${one.width}×${one.height}`}
            />
          ))}
        </ul>
        {info.media.length === 0 && (
          <p className={bare ? "v-subtle" : "v-subtle v-space-above"}>
            No disk and no ISO is attached: it has nothing to boot from.
          </p>
        )}
      </CardBody>
      {wish && <Wished info={info} wish={wish} onClose={() => setWish(undefined)} />}
    </Card>
  );
}

function Wished({ info, wish, onClose }: { info: VmInfo; wish: Wish; onClose: () => void }) {
  const act = useAction();
  const group = useMemo(() => ({ gid: info.gid }), [info.gid]);
  const attach = (mid: string, name: string) =>
    void act(
      changing(info, attached(info, { mid, mode: "VIRTIO", readonly: false }), {
        pending: `Attaching ${name} to ${info.name}`,
        done: `${name} attached`,
      }),
    );
  switch (wish.is) {
    case "attach":
      return <AttachMedium info={info} onClose={onClose} />;
    case "new":
      return (
        <CreateDisk
          first={group}
          called={diskName(info.name)}
          about={`${attachedWhen(info, "VIRTIO")} As virtio SCSI it can be detached while the VM runs.`}
          onMade={attach}
          onClose={onClose}
        />
      );
    case "disc":
      return <ChangeDisc info={info} drive={wish.drive} onClose={onClose} />;
    case "grow":
      return <GrowMedium medium={wish.medium} onClose={onClose} />;
    case "detach":
      return <Detach info={info} medium={wish.medium} onClose={onClose} />;
  }
}

interface DiskProps {
  medium: Medium;
  mayAlter: boolean;
  onWish: (wish: Wish) => void;
}

function Disk({ medium, mayAlter, onWish }: DiskProps) {
  const may = useMay();
  return (
    <>
      {may("media.create", medium.gid) && canGrow(medium) && (
        <Button
          variant="link"
          isInline
          onClick={() => onWish({ is: "grow", medium })}
          aria-label={`Grow ${medium.name}`}
        >
          Grow
        </Button>
      )}
      {mayAlter && (
        <Button
          variant="link"
          isInline
          onClick={() => onWish({ is: "detach", medium })}
          aria-label={`Detach ${medium.name}`}
        >
          Detach
        </Button>
      )}
    </>
  );
}

interface DiscProps {
  info: VmInfo;
  drive: Drive;
  name: string;
  onWish: (wish: Wish) => void;
}

function Disc({ info, drive, name, onWish }: DiscProps) {
  const act = useAction();
  const eject = () =>
    act(changing(info, ejected(info, drive), { pending: `Ejecting ${name}`, done: `${name} ejected` }));
  return (
    <>
      <Button variant="link" isInline onClick={() => onWish({ is: "disc", drive })}>
        Change disc
      </Button>
      <Button variant="link" isInline onClick={() => void eject()} aria-label={`Eject ${name}`}>
        Eject
      </Button>
    </>
  );
}

interface DeviceProps {
  icon: IconName;
  /** Absent: the page knows no more of it. */
  to?: string | undefined;
  name: string;
  words: string;
  children?: ReactNode;
}

function Device({ icon, to, name, words, children }: DeviceProps) {
  return (
    <li>
      <Icon name={icon} />
      <div className="v-breaks">
        <div>{to === undefined ? name : <Link to={to}>{name}</Link>}</div>
        <small className="v-subtle">{words}</small>
      </div>
      {children}
    </li>
  );
}
