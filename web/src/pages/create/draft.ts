/** What the wizard asks for, what it proposes, and what is wrong with it: as the server decides. */
import { Display } from "@/api/limits";
import { IMAGE_ENDINGS, IMPORTED, IMPORTED_FILE } from "@/pages/media/content";
import { DISK_HELP, diskBytes, MEMORY_HELP, memoryMib } from "@/ui/amounts";
import { hashProblem, keysOf, keysProblem, userProblem } from "@/ui/cloudInit";
import { bytes } from "@/ui/format";
import { FORWARDS_HELP, readForwards } from "@/ui/forwards";
import { nameProblem } from "@/ui/problems";
import { type GroupQuota, type PoolQuota, poolQuotaProblem, quotaProblem, type Whose } from "@/ui/vmQuota";

export type Source =
  | { from: "medium"; mid: string }
  | { from: "upload"; id: number }
  | { from: "catalogue"; name: string }
  | { from: "blank" };
/** `itself` is the chosen medium; `copy` and `import` are made of it; `new` is empty. */
export type Disk = "new" | "itself" | "copy" | "import" | "none";
/** What the chosen image can be for a VM. */
export type Role = "cdrom" | "disk" | "packed" | "named" | "blank";

export interface Draft {
  gid: number;
  /** The id of the host that it is to be on; empty: the server chooses. */
  host: string;
  /** The pool for a new disk. */
  mpid: number | undefined;
  source: Source | undefined;
  name: string;
  cpus: string;
  memory: string;
  disk: Disk;
  diskName: string;
  /** Of a new one. */
  diskSize: string;
  /** To which one that is made of an image is grown; empty: it stays as large as the image. */
  grownSize: string;
  format: "raw" | "qcow2";
  imageMode: "VIRTIO" | "USB";
  /** "1280x800" or "none". */
  display: string;
  /** "nat", "none", or "bridge:" and the id of a host NIC. */
  nic: string;
  /** Ports of the host that lead to it: "2222:22". */
  forwards: string;
  autostart: boolean;
  start: boolean;
  /** For cloud-init, of an image that is a disk: who may log in, keys one a line, and a password's hash. */
  user: string;
  sshKeys: string;
  passwordHash: string;
}

export interface Left {
  cpus?: number;
  memory_mib?: number;
}

export const DISPLAYS = ["1280x800", "1920x1080", "1024x768", "none"];

export const DISKS: Record<Role, Disk[]> = {
  cdrom: ["new", "none"],
  disk: ["copy", "itself"],
  packed: ["import"],
  named: ["copy"],
  blank: ["new", "none"],
};

/** The most that suits, of what is left. */
export function proposed(gid: number, left: Left, poolLeft: number | undefined): Draft {
  const memory = Math.min(2048, left.memory_mib ?? 2048);
  // Not all that is left: others take some of it while one reads the form, and the server would refuse it.
  const disk = Math.min(20 * 2 ** 30, (poolLeft ?? Number.POSITIVE_INFINITY) / 2);
  return {
    gid,
    host: "",
    mpid: undefined,
    source: undefined,
    name: "",
    cpus: String(Math.max(1, Math.min(2, left.cpus ?? 2))),
    memory: memory >= 1024 && memory % 1024 === 0 ? `${memory / 1024} GiB` : `${Math.max(256, memory)} MiB`,
    disk: "new",
    diskName: "",
    diskSize: disk >= 2 ** 30 ? `${Math.floor(disk / 2 ** 30)} GiB` : "1 GiB",
    grownSize: "",
    format: "qcow2",
    imageMode: "VIRTIO",
    display: DISPLAYS[0] ?? "none",
    nic: "nat",
    forwards: "",
    autostart: false,
    start: true,
    user: "",
    sshKeys: "",
    passwordHash: "",
  };
}

/** Before the server has looked into a file, its name tells. */
export const roleOfFile = (file: string): Role =>
  /\.iso$/i.test(file) ? "cdrom" : IMPORTED_FILE.test(file) ? "packed" : "disk";

export function roleOf(medium: { type: string; format: string; content?: { format: string } }): Role {
  const found = medium.content?.format ?? "";
  if (medium.type === "ISO" || found === "iso9660") return "cdrom";
  return medium.format === "raw" && IMPORTED.has(found) ? "packed" : "disk";
}

/** "debian-12.5.0-amd64-netinst.iso" is called debian-12, or debian-12-2 if that is taken. */
export function suggestName(image: string | undefined, taken: ReadonlySet<string>): string {
  const stem = (image ?? "")
    .toLowerCase()
    .replace(/\.iso$/, "")
    .replace(IMAGE_ENDINGS, "")
    .replace(/[\s_]+/g, "-");
  const words = /^([a-z][a-z0-9]*?)-?(\d+(?:\.\d+)?)?(?![a-z0-9])/.exec(stem);
  const base = words?.[1] ? [words[1], words[2]].filter(Boolean).join("-") : stem.slice(0, 32) || "vm";
  if (!taken.has(base)) return base;
  for (let number = 2; ; number += 1) if (!taken.has(`${base}-${number}`)) return `${base}-${number}`;
}

export type Field =
  | "gid"
  | "name"
  | "cpus"
  | "memory"
  | "diskSize"
  | "grownSize"
  | "diskName"
  | "display"
  | "nic"
  | "forwards"
  | "user"
  | "sshKeys"
  | "passwordHash";
export type Problems = Partial<Record<Field, string>>;

const freshNameProblem = (name: string, taken: ReadonlySet<string>, what: string): string | undefined =>
  taken.has(name) ? `The group already has a ${what} with that name. Choose another one.` : nameProblem(name);

export interface Known {
  quota?: GroupQuota | undefined;
  /** Why the group can have no other VM. */
  full?: string | undefined;
  /** Where a disk is made. */
  pool?: PoolQuota | undefined;
  asking: Whose;
  /** Of the image that a disk is made of, where it is known. */
  imageSize?: number | undefined;
  /** Names of VMs in the group, and of media in the group and pool. */
  vms: ReadonlySet<string>;
  media: ReadonlySet<string>;
}

export function problems(draft: Draft, known: Known): Problems {
  const found: Problems = {};
  const addProblem = (field: Field, problem: string | undefined) => {
    if (problem) found[field] = problem;
  };
  addProblem("gid", known.full);
  addProblem("name", freshNameProblem(draft.name, known.vms, "VM"));
  const cpus = /^\d+$/.test(draft.cpus.trim()) ? Number(draft.cpus) : undefined;
  if (cpus === undefined || cpus < 1) addProblem("cpus", "Enter a whole number, 1 or more.");
  else addProblem("cpus", quotaProblem("cpus", cpus, known.quota));
  const memory = memoryMib(draft.memory);
  if (memory === undefined) addProblem("memory", MEMORY_HELP);
  else addProblem("memory", quotaProblem("memory_mib", memory, known.quota));
  if (makesDisk(draft)) addProblem("diskName", freshNameProblem(draft.diskName, known.media, "medium"));
  if (draft.disk === "new") {
    const size = diskBytes(draft.diskSize);
    if (size === undefined || size < 1) addProblem("diskSize", DISK_HELP);
    else addProblem("diskSize", poolQuotaProblem(size, known.pool, known.asking));
  }
  addProblem("grownSize", grownProblem(draft, known));
  if (draft.nic === "nat" && !readForwards(draft.forwards)) addProblem("forwards", FORWARDS_HELP);
  addProblem("user", userProblem(draft.user.trim()));
  addProblem("sshKeys", keysProblem(keysOf(draft.sshKeys)));
  addProblem("passwordHash", hashProblem(draft.passwordHash.trim()));
  if (draft.display !== "none" && !sizeOf(draft.display))
    addProblem("display", `Enter width and height, such as 1280x800; each ${SIDE.minimum} to ${SIDE.maximum}.`);
  return found;
}

export const makesDisk = (draft: Pick<Draft, "disk">): boolean =>
  draft.disk === "new" || draft.disk === "copy" || draft.disk === "import";

/** The bytes that a disk made of an image is to have; undefined: as many as the image. */
export const grownSize = (draft: Draft): number | undefined =>
  growsDisk(draft) && draft.grownSize.trim() !== "" ? diskBytes(draft.grownSize) : undefined;

export const growsDisk = (draft: Pick<Draft, "disk">): boolean => draft.disk === "copy" || draft.disk === "import";

function grownProblem(draft: Draft, { pool, asking, imageSize }: Known): string | undefined {
  if (!growsDisk(draft) || draft.grownSize.trim() === "") return undefined;
  const size = diskBytes(draft.grownSize);
  if (size === undefined || size < 1) return DISK_HELP;
  if (imageSize !== undefined && size < imageSize)
    return `The image has ${bytes(imageSize)}: its disk cannot be smaller.`;
  return poolQuotaProblem(size, pool, asking);
}

/** The contract has the same for width and height. */
const SIDE = Display.width;

export function sizeOf(display: string): { width: number; height: number } | undefined {
  const match = /^(\d+)\s*[x×]\s*(\d+)$/.exec(display.trim());
  const [width, height] = [Number(match?.[1]), Number(match?.[2])];
  const fits = (side: number) => side >= SIDE.minimum && side <= SIDE.maximum;
  return match && fits(width) && fits(height) ? { width, height } : undefined;
}
