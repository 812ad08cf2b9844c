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
