/** What a VM's media and empty drives are once a disk is attached or detached, or a disc changed or ejected. */
import type { AlterVm, Attachment, VmInfo } from "@/api/schema";

export type Mode = VmInfo["drives"][number]["mode"];
/** `disc`: the ISO in it. */
export interface Drive {
  mode: Mode;
  disc?: string;
}

type Has = Pick<VmInfo, "media" | "drives">;
export type Change = Pick<AlterVm, "media" | "drives">;

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
