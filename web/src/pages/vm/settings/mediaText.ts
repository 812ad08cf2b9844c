/** Media as they are told apart and offered: by their groups, and by the VMs that have them. */
import type { Medium } from "@/api/live";
import { bytes } from "@/ui/format";
import { mediumType } from "@/ui/labels";

export const isIso = (medium: Pick<Medium, "type">): boolean => medium.type.toUpperCase() === "ISO";

const others = (medium: Medium, vmid: number) => medium.used_by.filter((one) => one.vmid !== vmid);

/** Only one VM can have a medium to write to it, running or not: the next one is proposed to read it. */
export const isUsedByAnother = (medium: Medium, vmid: number): boolean => others(medium, vmid).length > 0;

/** "ISO, 12 MiB, in team, used by db": the group where it is another one, or the name is there twice. */
export function mediumWords(
  medium: Medium,
  all: readonly Medium[],
  gid: number,
  vmid: number,
  path: (gid: number) => string,
): string {
  const twin = all.some((one) => one.mid !== medium.mid && one.name === medium.name);
  const users = others(medium, vmid);
  const writers = users.filter((one) => one.writing);
  const [first] = writers.length > 0 ? writers : users;
  const more = users.length > 1 ? `${writers.length > 0 ? "," : ""} and ${users.length - 1} more` : "";
  return [
    mediumType(medium.type),
    bytes(medium.size),
    ...(twin || medium.gid !== gid ? [`in ${path(medium.gid)}`] : []),
    ...(first ? [`used by ${first.name}${writers.length > 0 ? ", which may write to it" : ""}${more}`] : []),
  ].join(", ");
}

/** What may be attached as it is, and below it what another VM has: the lists by name. */
export function sorted(media: readonly Medium[], vmid: number): [title: string, media: Medium[]][] {
  const byName = [...media].sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
  const isFree = (one: Medium) => isIso(one) || !isUsedByAnother(one, vmid);
  return [
    ["Free", byName.filter(isFree)],
    ["In use by another VM: attached read-only", byName.filter((one) => !isFree(one))],
  ];
}
