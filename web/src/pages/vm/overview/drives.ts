/** What a VM's media and empty drives are once a disk is attached or detached, or a disc changed or ejected. */
import type { AlterVm, Attachment, VmInfo } from "@/api/schema";

export type Mode = VmInfo["drives"][number]["mode"];
/** `disc`: the ISO in it. */
export interface Drive {
  mode: Mode;
  disc?: string;
}

/** The version of the hardware that has no spare ports for what comes while the VM runs. */
const WITHOUT_PORTS = "1";

type Has = Pick<VmInfo, "media" | "drives">;
export type Change = Pick<AlterVm, "media" | "drives">;

/** When the guest gets what is attached so, as the server decides. */
export function attachedWhen(info: Has & Pick<VmInfo, "name" | "state" | "hardware">, mode: string): string {
  if (info.state === "STOPPED") return `Attached to ${info.name}, which finds it when it is started.`;
  const shared = mode !== "BLOCK" && [...info.media, ...info.drives].some((one) => one.mode === mode);
  return info.hardware !== WITHOUT_PORTS || shared
    ? `Attached to ${info.name} at once, while it runs.`
    : `Attached to ${info.name} at its next start.`;
}

/** Behind those that it has. */
export const attached = ({ media }: Has, one: Attachment): Change => ({ media: [...media, one] });

export const detached = ({ media }: Has, mid: string): Change => ({ media: media.filter((one) => one.mid !== mid) });

export const isDrive = (mode: string): mode is Mode => mode === "USB" || mode === "VIRTIO";

/** In the place of what is in the drive; into an empty one, which is then none any more. */
export function inserted({ media, drives }: Has, { mode, disc }: Drive, mid: string): Change {
  if (disc !== undefined) return { media: media.map((one) => (one.mid === disc ? { ...one, mid } : one)) };
  const left = [...drives];
  left.splice(
    left.findIndex((one) => one.mode === mode),
    1,
  );
  return { media: [...media, { mid, mode, readonly: true }], drives: left };
}

/** The drive stays, empty. */
export function ejected({ media, drives }: Has, { mode, disc }: Drive): Change {
  return { media: media.filter((one) => one.mid !== disc), drives: [...drives, { mode }] };
}
