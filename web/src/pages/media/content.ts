/** What the bytes of a medium were found to be, in words. */
import type { Medium } from "@/api/live";

const FORMATS: Record<string, string> = {
  iso9660: "ISO image",
  gpt: "Disk (GPT)",
  mbr: "Disk (MBR)",
  fat: "Disk (FAT)",
  ext4: "Disk (ext4)",
  qcow2: "qcow2 image",
  vmdk: "VMDK image",
  vdi: "VDI image",
  vhdx: "VHDX image",
  vhd: "VHD image",
  xz: "compressed with xz",
  zstd: "compressed with zstd",
  gzip: "compressed with gzip",
  bzip2: "compressed with bzip2",
  tar: "tar archive",
  zip: "zip archive",
  blank: "Empty",
  unknown: "Unknown",
};

/** Of `content.format`: what only an import makes a disk of. docs/images.md */
export const IMPORTED: ReadonlySet<string> = new Set([
  "qcow2",
  "vmdk",
  "vdi",
  "vhdx",
  "vhd",
  "xz",
  "zstd",
  "gzip",
  "bzip2",
  "tar",
  "zip",
]);
const ENDINGS = "qcow2|vmdk|vdi|vhdx?|xz|zst|gz|bz2|tar|tgz|txz|zip|ova";
/** The same by the names of files. */
export const IMPORTED_FILE = new RegExp(`\\.(${ENDINGS})$`, "i");
/** The endings of images and of what packs them. */
export const IMAGE_ENDINGS = new RegExp(`(\\.(${ENDINGS}|raw|img))+$`, "i");

/** What its bytes were when it came; of a disk that was empty then, and is no more, a guest's own. */
export function formatWords(medium: Pick<Medium, "content" | "allocated">): string {
  const format = medium.content?.format ?? "unknown";
  if (format === "blank" && !isBlank(medium)) return "Written by a guest";
  return FORMATS[format] ?? format;
}

/** Whether it boots here, as far as its bytes say; undefined: they say nothing of it. */
export function bootWords(medium: Pick<Medium, "content">): string | undefined {
  const content = medium.content;
  if (content?.boots_efi === undefined) return undefined;
  if (!content.boots_efi) return "Does not boot with EFI";
  return content.architectures?.length ? `Boots with EFI (${content.architectures.join(", ")})` : "Boots with EFI";
}

/** The same of one to install from, which is also in doubt where its bytes are no ISO's. */
export const installWords = (medium: Pick<Medium, "type" | "content">): string | undefined =>
  bootWords(medium) ?? (medium.type === "ISO" && medium.content?.warning !== undefined ? "Does not boot" : undefined);

/** An uploaded image, which a guest would see as the raw bytes that it is, until it is imported. */
export const canImport = (medium: Pick<Medium, "content" | "format">): boolean =>
  medium.format === "raw" && IMPORTED.has(medium.content?.format ?? "");

/** Bytes on disk above which something was written to it, as the server has it. */
const WRITTEN = 2 ** 20;

/** Whether nothing was written to it, as far as `allocated` says. */
export const isBlank = ({ content, allocated }: Pick<Medium, "content" | "allocated">): boolean =>
  content?.format === "blank" && allocated <= WRITTEN;

/** What a VM can be made of: an image, or a disk that holds something and that no VM writes to. */
export const canStart = (medium: Medium): boolean =>
  !medium.missing && medium.content?.format !== "blank" && writerOf(medium) === undefined;

/** A disk, which ends where its file does; an ISO or a packed file does not grow. */
export const canGrow = (medium: Pick<Medium, "content" | "format" | "type">): boolean =>
  medium.type.toUpperCase() !== "ISO" && medium.content?.format !== "iso9660" && !canImport(medium);

export const writerOf = (medium: Pick<Medium, "used_by">): string | undefined =>
  medium.used_by.find((vm) => vm.writing)?.name;

export type Format = "raw" | "qcow2";
/** Of a disk that is made here; the first is proposed. */
export const DISK_FORMATS: { value: Format; label: string }[] = [
  { value: "qcow2", label: "qcow2: takes little space, also when copied" },
  { value: "raw", label: "raw: the fastest; takes its full size when copied elsewhere" },
];
