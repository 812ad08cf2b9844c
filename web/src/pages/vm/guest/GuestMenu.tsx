/** What can be done inside a guest by its agent. */
import { DropdownItem } from "@patternfly/react-core";
import { useState } from "react";
import { useMay, type Vm } from "@/api/live";
import type { GuestInfo } from "@/api/schema";
import { ActionMenu } from "@/ui/ActionMenu";
import { AddKeys } from "./AddKeys";
import { CopyIn } from "./CopyIn";
import { CopyOut } from "./CopyOut";
import { Freeze } from "./Freeze";
import { GuestPassword } from "./GuestPassword";
import { RunCommand } from "./RunCommand";

const DIALOGS = {
  command: { title: "Run a command…", show: RunCommand },
  password: { title: "Set a password…", show: GuestPassword },
  keys: { title: "Add SSH keys…", show: AddKeys },
  in: { title: "Copy a file in…", show: CopyIn },
  out: { title: "Copy a file out…", show: CopyOut },
  freeze: { title: "Freeze the file systems…", show: Freeze },
};
type Name = keyof typeof DIALOGS;

export function GuestMenu({ vm, told }: { vm: Vm; told: GuestInfo }) {
  const [open, setOpen] = useState<Name>();
  const may = useMay();
  if (!may("vm.guest", vm.gid)) return null;
  const Dialog = open && DIALOGS[open].show;
  return (
    <>
      <ActionMenu name="Actions in the guest">
        {(Object.keys(DIALOGS) as Name[]).map((name) => (
          <DropdownItem
            key={name}
            isDisabled={name === "freeze" && vm.frozen_until !== undefined}
            onClick={() => setOpen(name)}
          >
            {DIALOGS[name].title}
          </DropdownItem>
        ))}
      </ActionMenu>
      {Dialog && <Dialog vm={vm} told={told} onClose={() => setOpen(undefined)} />}
    </>
  );
}
