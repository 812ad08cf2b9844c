/** The dialogs of one VM: its page opens them, and the list over itself. */
import type { FC } from "react";
import type { Vm } from "@/api/live";
import type { VmDialog } from "@/ui/vmDialogs";
import { Clone } from "./Clone";
import { MoveToHost } from "./MoveToHost";
import { MoveVm } from "./MoveVm";
import { NextBoot } from "./NextBoot";
import { RenameVm } from "./RenameVm";
import { Reset } from "./Reset";
import { Restart } from "./Restart";

/** `delete` is asked for several VMs as well, and leads away from the page of one. */
export type OwnDialog = Exclude<VmDialog, "delete">;

export const DIALOGS: Record<OwnDialog, FC<{ vm: Vm; onClose: () => void }>> = {
  restart: Restart,
  reset: Reset,
  boot: NextBoot,
  rename: RenameVm,
  clone: Clone,
  move: MoveVm,
  host: MoveToHost,
};
