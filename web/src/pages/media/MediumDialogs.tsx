/** What one wishes to do with a medium, as a dialog. */
import type { Medium } from "@/api/live";
import { AttachToVm } from "./AttachToVm";
import { ConvertMedium } from "./ConvertMedium";
import { DeleteMedia } from "./DeleteMedia";
import { GrowMedium } from "./GrowMedium";
import { MakeDisk } from "./MakeDisk";
import { MoveMedium } from "./MoveMedium";
import { RenameMedium } from "./RenameMedium";

export type Wish = "attach" | "import" | "clone" | "rename" | "grow" | "move" | "convert" | "delete";

export function MediumDialog({
  medium,
  wish,
  after,
  onClose,
}: {
  medium: Medium;
  wish: Wish;
  /** When it is deleted. */
  after?: () => void;
  onClose: () => void;
}) {
  if (wish === "attach") return <AttachToVm medium={medium} onClose={onClose} />;
  if (wish === "rename") return <RenameMedium medium={medium} onClose={onClose} />;
  if (wish === "grow") return <GrowMedium medium={medium} onClose={onClose} />;
  if (wish === "move") return <MoveMedium medium={medium} onClose={onClose} />;
  if (wish === "convert") return <ConvertMedium medium={medium} onClose={onClose} />;
  if (wish === "delete") return <DeleteMedia media={[medium]} after={after} onClose={onClose} />;
  return <MakeDisk medium={medium} making={wish} onClose={onClose} />;
}
