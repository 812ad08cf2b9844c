/** How a medium can be attached, as people read it. */
export const MODES: Record<string, string> = {
  VIRTIO: "virtio SCSI",
  BLOCK: "virtio block",
  USB: "USB",
};

/** How the host reads and writes a disk's file; "": what it finds best. */
export const CACHES: Record<string, string> = {
  "": "the host's choice",
  writeback: "the host's page cache",
  none: "none: direct I/O",
};

/** The keyboard and the pointer of a VM with a display, beside the PS/2 ones that every VM has. */
export const INPUTS: Record<string, string> = {
  virtio: "virtio",
  usb: "USB keyboard and tablet",
  ps2: "PS/2 only",
};
