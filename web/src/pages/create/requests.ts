/** The requests that a draft stands for, and the command lines that do the same. */
import type { Body } from "@/api/call";
import { diskBytes, memoryMib } from "@/ui/amounts";
import { HIDDEN, keysOf, masked } from "@/ui/cloudInit";
import { forwardText, readForwards } from "@/ui/forwards";
import { groupOption, idWord, MISREAD } from "@/ui/vmCli";
import { shell } from "../../ui/format";
import { type Draft, grownSize, sizeOf } from "./draft";

export type CreateVm = Body<"/v/vm/efi", "put">;
export type MakeDisk =
  | { path: "/m/media/create"; body: Body<"/m/media/create", "put"> }
  | { path: "/m/media/clone"; body: Body<"/m/media/clone", "put"> }
  | { path: "/m/media/import"; body: Body<"/m/media/import", "put"> };

/** What of the chosen image is known: its id is not, while it is still being uploaded. */
export interface Image {
  mid: string | undefined;
  name: string;
  gid: number;
  isCdrom: boolean;
  /** Bytes, where they are known. */
  size?: number;
  /** Of the catalogue, while it is still to be fetched. */
  fetch?: { image: string; server: string };
}

/** For the copies of all VMs. */
export const fetchImage = (draft: Draft, image: Image): Body<"/m/media/fetch", "put"> => ({
  image: image.fetch?.image ?? "",
  gid: draft.gid,
  mpid: draft.mpid ?? 0,
  name: image.name,
  type: "DISK",
  readonly: true,
});

/** Nothing if no disk is to be made, or if what it is made of is not there yet. */
export function makeDisk(draft: Draft, image: Image | undefined): MakeDisk | undefined {
  const { gid, mpid, diskName: name, format } = draft;
  if (mpid === undefined) return undefined;
  if (draft.disk === "new")
    return {
      path: "/m/media/create",
      body: { gid, mpid, name, size: diskBytes(draft.diskSize) ?? 0, type: "DISK", format },
    };
  if (!image?.mid) return undefined;
  if (draft.disk === "copy") return { path: "/m/media/clone", body: { mid: image.mid, gid, mpid, name } };
  if (draft.disk === "import")
    return { path: "/m/media/import", body: { mid: image.mid, gid, mpid, name, type: "DISK", format } };
  return undefined;
}

/** The disk comes first: while it is empty the image after it boots. */
export function createVm(draft: Draft, image: Image | undefined, disk: string | undefined): CreateVm {
  const size = sizeOf(draft.display);
  const media: CreateVm["media"] = [];
  const first = draft.disk === "itself" ? image?.mid : disk;
  if (first) media.push({ mid: first, mode: "BLOCK", readonly: false });
  if (image?.isCdrom && image.mid) media.push({ mid: image.mid, mode: draft.imageMode, readonly: true });
  return {
    name: draft.name,
    gid: draft.gid,
    ...(draft.host && { host: Number(draft.host) }),
    cpus: Number(draft.cpus),
    memory_mib: memoryMib(draft.memory) ?? 0,
    displays: size ? [{ name: "display0", ...size, ppi: 96 }] : [],
    media,
    nics: nicsOf(draft.nic),
    ...forwardsOf(draft),
    autostart: draft.autostart,
    ...loginOf(draft, image),
  };
}

/** What cloud-init is told; an installer has none. */
function loginOf(draft: Draft, image: Image | undefined): Pick<CreateVm, "cloud_init"> {
  const user = draft.user.trim();
  const ssh_keys = keysOf(draft.sshKeys);
  const password_hash = draft.passwordHash.trim();
  if (!image || image.isCdrom || !(user || ssh_keys.length > 0 || password_hash)) return {};
  return {
    cloud_init: {
      ...(user && { user }),
      ...(ssh_keys.length > 0 && { ssh_keys }),
      ...(password_hash && { password_hash }),
    },
  };
}

/** For what is shown and copied: without secrets. */
export const shownVm = (body: CreateVm): CreateVm =>
  body.cloud_init ? { ...body, cloud_init: masked(body.cloud_init) } : body;

function nicsOf(nic: string): NonNullable<CreateVm["nics"]> {
  if (nic === "none") return [];
  return nic.startsWith("bridge:") ? [{ type: "BRIDGE", host: Number(nic.slice(7)) }] : [{ type: "NAT" }];
}

/** They lead to the first NAT NIC. */
function forwardsOf({ nic, forwards }: Draft): Pick<CreateVm, "forwards"> {
  const read = nic === "nat" ? readForwards(forwards) : undefined;
  return read?.length ? { forwards: read } : {};
}

/** `file` is what is uploaded here and now; `group` the path of the group. */
export function commandLines(
  draft: Draft,
  image: Image | undefined,
  group: string,
  file: string | undefined,
): string[] {
  const where = groupOption(draft.gid, group);
  const pool = draft.mpid === undefined || draft.mpid === 1 ? [] : ["--pool", idWord(draft.mpid)];
  const lines: string[][] = [];
  const word = image ? wordOf(image, draft.gid) : "";
  if (image?.fetch)
    lines.push([
      "velocity",
      "media",
      "fetch",
      image.fetch.image,
      "--name",
      image.name,
      "--readonly",
      ...where,
      ...pool,
    ]);
  // an import takes the file itself, and removes what it uploaded
  if (file && image && draft.disk !== "import") {
    const name = image.name === file ? [] : ["--name", image.name];
    lines.push(["velocity", "media", "upload", file, ...name, ...where, ...pool]);
  }
  const format = draft.format === "qcow2" ? [] : ["--format", draft.format];
  if (draft.disk === "new") {
    const size = String(diskBytes(draft.diskSize) ?? 0);
    lines.push(["velocity", "media", "create", draft.diskName, "--size", amount(size), ...format, ...where, ...pool]);
  } else if (draft.disk === "copy") lines.push(["velocity", "media", "clone", word, draft.diskName, ...where, ...pool]);
  else if (draft.disk === "import")
    lines.push([
      "velocity",
      "media",
      "import",
      file ?? image?.mid ?? word,
      "--name",
      draft.diskName,
      ...format,
      ...where,
      ...pool,
    ]);
  const grown = grownSize(draft);
  if (grown !== undefined)
    lines.push(["velocity", "media", "set", draft.diskName, "--size", amount(String(grown)), ...where]);
  const vm = [
    "velocity",
    "vm",
    "create",
    draft.name,
    "--cpus",
    draft.cpus.trim(),
    "--memory",
    `${memoryMib(draft.memory) ?? 0}M`,
  ];
  const size = sizeOf(draft.display);
  if (size) vm.push("--display", `${size.width}x${size.height}`);
  if (draft.disk === "itself") vm.push("--media", `${word}:block`);
  else if (draft.disk !== "none") vm.push("--media", `${draft.diskName}:block`);
  if (image?.isCdrom) vm.push("--media", `${word}${draft.imageMode === "USB" ? ":usb" : ""}:ro`);
  if (draft.nic !== "none") vm.push("--nic", draft.nic);
  for (const one of forwardsOf(draft).forwards ?? []) vm.push("--forward", forwardText(one));
  if (draft.autostart) vm.push("--autostart");
  if (draft.host) vm.push("--host", idWord(draft.host));
  const login = loginOf(draft, image).cloud_init;
  if (login?.user) vm.push("--user", login.user);
  for (const key of login?.ssh_keys ?? []) vm.push("--ssh-key", key);
  if (login?.password_hash) vm.push("--password-hash", HIDDEN);
  lines.push([...vm, ...where]);
  const there = MISREAD.test(draft.name) ? ["--group", draft.gid === 0 ? "/" : group] : where;
  if (draft.start) lines.push(["velocity", "vm", "start", draft.name, ...there]);
  return lines.map((line) => line.map(shell).join(" "));
}

/** By its id where the name would not do: with a colon it might end like a mode, and one of another group is meant. */
const wordOf = ({ name, mid, gid }: Image, here: number): string =>
  mid && (name.includes(":") || MISREAD.test(name) || gid !== here) ? idWord(mid) : name;

const amount = (bytes: string): string => {
  const number = Number(bytes);
  return number > 0 && number % 2 ** 30 === 0 ? `${number / 2 ** 30}G` : bytes;
};
