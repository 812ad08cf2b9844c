/** What the bytes of a medium were found to be, in words. */
import type { Medium } from "@/api/live";

const FORMATS: Record<string, string> = {
  iso9660: "ISO image",
  gpt: "Disk (GPT)",
  mbr: "Disk (MBR)",
  qcow2: "qcow2 image",
  vmdk: "VMDK image",
  vdi: "VDI image",
  vhdx: "VHDX image",
  xz: "compressed with xz",
  zstd: "compressed with zstd",
  blank: "Empty",
  unknown: "Unknown",
};

const IMPORTED = new Set(["qcow2", "vmdk", "vdi", "vhdx", "xz", "zstd"]);
const PACKED = new Set(["xz", "zstd"]);

export const formatWords = (medium: Pick<Medium, "content">): string =>
  FORMATS[medium.content?.format ?? "unknown"] ?? medium.content?.format ?? "Unknown";

/** Whether it boots here, as far as its bytes say; undefined: they say nothing of it. */
export function bootWords(medium: Pick<Medium, "content">): string | undefined {
  const content = medium.content;
  if (content?.boots_efi === undefined) return undefined;
  if (!content.boots_efi) return "does not boot with EFI";
  return content.architectures?.length ? `boots EFI (${content.architectures.join(", ")})` : "boots EFI";
}

/** An uploaded image, which a guest would see as the raw bytes that it is, until it is imported. */
export const canImport = (medium: Pick<Medium, "content" | "format">): boolean =>
  medium.format === "raw" && IMPORTED.has(medium.content?.format ?? "");

/** What is packed becomes raw, whatever is asked for. */
export const isPacked = (medium: Pick<Medium, "content">): boolean => PACKED.has(medium.content?.format ?? "");

export const writerOf = (medium: Pick<Medium, "used_by">): string | undefined =>
  medium.used_by.find((vm) => vm.writing)?.name;
