/** Files of guests, as paths and as the command line writes them. */
import { idWord, MISREAD } from "@/ui/vmCli";

/** The last part of a path of any system; "": it is that of a folder. */
export const fileName = (path: string): string => /[^/\\]*$/.exec(path)?.[0] ?? "";

/** `web:/etc/hosts`; a name that would be misread stands as an id. */
export const inGuest = ({ name, vmid }: { name: string; vmid: number }, path: string): string =>
  `${MISREAD.test(name) || /[/:]/.test(name) ? idWord(vmid) : name}:${path}`;
