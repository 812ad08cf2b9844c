/** The boot order of a VM: what has a place comes first, then the media in the order of their list. */
import type { Attachment, Nic } from "@/api/schema";

interface Devices {
  media: Attachment[];
  nics: Nic[];
}
/** One that the firmware tries, by its place in its list. */
export interface Bootable {
  of: keyof Devices;
  index: number;
}

/** Whether there is something to put in order. */
export const hasList = ({ media, nics }: Devices): boolean => media.length + nics.length > 1;

export function bootOrder({ media, nics }: Devices): Bootable[] {
  const place = ({ of, index }: Bootable) => (of === "media" ? media : nics)[index]?.boot || Number.POSITIVE_INFINITY;
  const all: Bootable[] = [
    ...media.map((_one, index) => ({ of: "media" as const, index })),
    ...nics.flatMap((one, index) => (one.boot ? [{ of: "nics" as const, index }] : [])),
  ];
  return all.sort((one, other) => {
    const [first, second] = [place(one), place(other)];
    return first === second ? 0 : first - second;
  });
}

/** The lists with places that make this order; none where the media's list says the same. */
export function ordered({ media, nics }: Devices, order: readonly Bootable[]): Devices {
  const plain = order.every(({ of, index }, place) => of === "media" && index === place);
  const places = (of: keyof Devices) => (index: number) => {
    const place = order.findIndex((one) => one.of === of && one.index === index);
    return plain || place < 0 ? undefined : place + 1;
  };
  const [ofMedia, ofNics] = [places("media"), places("nics")];
  return {
    media: media.map(({ boot: _boot, ...one }, index) => withPlace(one, ofMedia(index))),
    nics: nics.map(({ boot: _boot, ...one }, index) => withPlace(one, ofNics(index))),
  };
}

const withPlace = <T extends object>(one: T, boot: number | undefined): T & { boot?: number } =>
  boot === undefined ? one : { ...one, boot };

/** What is told of the places in the order, where there is a choice. From a disk that is empty nothing boots yet. */
export function placeWords(devices: Devices, isEmpty: (mid: string) => boolean): (one: Bootable) => string | undefined {
  const order = bootOrder(devices);
  const holds = ({ of, index }: Bootable) => of === "nics" || !isEmpty(devices.media[index]?.mid ?? "");
  const first = order.findIndex(holds);
  return ({ of, index }) => {
    const place = order.findIndex((one) => one.of === of && one.index === index);
    if (order.length < 2 || place > first) return undefined;
    return place < first ? "empty: skipped until something is installed" : "boots first";
  };
}
