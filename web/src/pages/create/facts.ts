/** What was chosen, as it is read over before the VM is created. */
import { diskBytes, memoryMib } from "@/ui/amounts";
import { bytes, mib } from "@/ui/format";
import { type Draft, grownSize, makesDisk, sizeOf } from "./draft";
import type { Image } from "./requests";

export interface Places {
  /** The path of its group. */
  group: string;
  /** The pool of a new disk, where there are several. */
  pool: string | undefined;
  host: string | undefined;
  nic: string | undefined;
}

export function factsOf(
  draft: Draft,
  image: Image | undefined,
  { group, pool, host, nic }: Places,
): [string, string][] {
  const size = sizeOf(draft.display);
  const facts: [string, string | false | undefined][] = [
    ["Name", draft.name],
    ["Group", group],
    ["Host", host],
    ["CPUs", draft.cpus.trim()],
    ["Memory", mib(memoryMib(draft.memory) ?? 0)],
    ["Disk", diskWords(draft, image, pool)],
    ["CD-ROM", image?.isCdrom && image.name],
    ["Display", size ? `${size.width}×${size.height}` : "None: serial console only"],
    ["Network", draft.nic === "nat" ? "NAT" : draft.nic === "none" ? "None" : `Bridge: ${nic ?? "a NIC of the host"}`],
    ["Port forwards", draft.nic === "nat" && draft.forwards.trim()],
    ["User", !image?.isCdrom && draft.user.trim()],
    ["Starts with the server", draft.autostart && "Yes"],
  ];
  return facts.flatMap(([name, words]) => (words ? [[name, words]] : []));
}

function diskWords(draft: Draft, image: Image | undefined, pool: string | undefined): string {
  if (draft.disk === "none") return "None";
  if (draft.disk === "itself") return [image?.name, image?.size && bytes(image.size)].filter(Boolean).join(", ");
  const made = { new: "empty", copy: `a copy of ${image?.name}`, import: `made from ${image?.name}` }[draft.disk];
  const size = draft.disk === "new" ? diskBytes(draft.diskSize) : (grownSize(draft) ?? copied(draft, image));
  return [draft.diskName, size && bytes(size), made, makesDisk(draft) && pool && `in the pool ${pool}`]
    .filter(Boolean)
    .join(", ");
}

/** Of what is packed it is known only once it is unpacked. */
const copied = (draft: Draft, image: Image | undefined) => (draft.disk === "copy" ? image?.size : undefined);
