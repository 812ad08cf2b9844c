/** How a medium can be attached, as people read it. */
export const MODES: Record<string, string> = {
  VIRTIO: "virtio SCSI",
  BLOCK: "virtio block",
  USB: "USB",
};
