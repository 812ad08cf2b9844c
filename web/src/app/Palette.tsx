/** The command palette (Ctrl-K): every place, VM, medium, group and user by a few letters, and what can be done with a VM. */

import { Modal, ModalBody, TextInput, Title } from "@patternfly/react-core";
import { type KeyboardEvent, type RefObject, useId, useLayoutEffect, useMemo, useState } from "react";
import { useNavigate } from "react-router";
import { useMay, useObjects, type Vm } from "@/api/live";
import { readStored, writeStored } from "@/api/stored";
import { Icon, type IconName } from "@/look/Icon";
import { addressWords, mainAddress } from "@/ui/addresses";
import { ForceOff } from "@/ui/ForceOff";
import { capital } from "@/ui/format";
import { groupTitle } from "@/ui/groups";
import { chooseTheme } from "@/ui/theme";
import { actionsOf, runOnVms, ALSO as VERB_ALSO, ICONS as VERB_ICONS, VERBS } from "@/ui/vmActions";
import {
  ABOUT as DIALOG_ABOUT,
  ALSO as DIALOG_ALSO,
  ICONS as DIALOG_ICONS,
  WORDS as DIALOG_WORDS,
  dialogsOf,
} from "@/ui/vmDialogs";
import { isIso } from "../pages/vm/settings/mediaText";
import { type Among, found, lately } from "./found";
import { PLACES, usePlaces } from "./places";
import { RECENT, remembered } from "./shortcuts";

interface Entry {
  id: string;
  title: string;
  /** What it is found by as well. */
  words?: string | undefined;
  kind: string;
  icon: IconName;
  run: () => void;
  /** Something is lost by it: the palette stays, and asks first. */
  asks?: boolean;
}

const MOST = 12;
/** What is made on the page of a place, in a dialog there. */
const MAKES = [
  { title: "Create a virtual machine", to: "/create", needs: "vm.create", icon: "plus" },
  { title: "Upload an image", to: "/media?upload", needs: "media.create", icon: "upload" },
  { title: "Fetch an image from a URL", to: "/media?fetch", needs: "media.create", icon: "download" },
  { title: "Create an empty disk", to: "/media?create", needs: "media.create", icon: "disk" },
  { title: "Create a user", to: "/users?create", needs: "user.create", icon: "person" },
  { title: "Set up a team", to: "/groups?team", needs: "group.create", icon: "users" },
  { title: "Add a host", to: "/hosts?add", needs: "node.manage", icon: "host" },
] as const;
const SETTINGS = "hardware devices options edit";
const DIALOGS = [...Object.values(DIALOG_WORDS), ...Object.values(DIALOG_ALSO)];
const WORDS = ["console", "serial", "settings", SETTINGS, ...VERBS, ...DIALOGS].join(" ");

export default function Palette({
  typed,
  onClose,
  showHelp,
}: {
  /** What was typed before it was there. */
  typed: RefObject<string>;
  onClose: () => void;
  showHelp: () => void;
}) {
  const [words, setWords] = useState("");
  // React may show it some time after it has made it: until then, what is typed is gathered
  useLayoutEffect(() => setWords(typed.current), [typed]);
  const [at, setAt] = useState(0);
  const list = useId();
  const [dangerous, setDangerous] = useState<Vm>();
  const [recent] = useState(() => readStored<string[]>(RECENT, []));
  const among = useEntries(setDangerous, showHelp, recent);
  const shown = useMemo(() => found(among, words, recent, MOST), [among, words, recent]);
  const run = (entry: Entry | undefined) => {
    if (!entry) return;
    if (!entry.asks) onClose();
    writeStored(RECENT, remembered(recent, entry.id));
    entry.run();
  };
  const press = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown") setAt((now) => Math.min(now + 1, shown.length - 1));
    else if (event.key === "ArrowUp") setAt((now) => Math.max(now - 1, 0));
    else if (event.key === "Enter") run(shown[at]);
    else return;
    event.preventDefault();
  };
  if (dangerous) return <ForceOff vms={[dangerous]} onClose={onClose} />;
  return (
    <Modal isOpen onClose={onClose} variant="medium" position="top" aria-label="Search or run" className="v-palette">
      <ModalBody>
        <TextInput
          value={words}
          onChange={(_event, value) => {
            setWords(value);
            setAt(0);
          }}
          type="search"
          onKeyDown={press}
          placeholder="A VM, a medium, a group, a place; or “start web”"
          aria-label="Search or run"
          role="combobox"
          aria-expanded="true"
          aria-controls={list}
          aria-activedescendant={shown[at] ? `${list}-${at}` : undefined}
          autoFocus
        />
        <div id={list} role="listbox" aria-label="Found" className="v-palette-list">
          {shown.map((entry, index) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the keys are handled where the focus is, in the search field
            <div
              key={entry.id}
              id={`${list}-${index}`}
              role="option"
              tabIndex={-1}
              aria-selected={index === at}
              className="v-palette-entry"
              onMouseMove={() => setAt(index)}
              onClick={() => run(entry)}
            >
              <Icon name={entry.icon} />
              <span>{entry.title}</span>
              <span className="v-subtle">{entry.kind}</span>
            </div>
          ))}
        </div>
        {shown.length === 0 && (
          <Title headingLevel="h2" size="md">
            No matches
          </Title>
        )}
      </ModalBody>
    </Modal>
  );
}

function addressOf(vm: Vm): string[] {
  const main = mainAddress(vm);
  return main === undefined ? [] : [addressWords(vm, main)];
}

/** What was used lately stands first. */
function useEntries(ask: (vm: Vm) => void, showHelp: () => void, recent: readonly string[]): Among<Entry, Vm> {
  const navigate = useNavigate();
  const vms = useObjects("vm");
  const media = useObjects("medium");
  const groups = useObjects("group");
  const users = useObjects("user");
  const may = useMay();
  const isShown = usePlaces();
  return useMemo(() => {
    const go = (path: string) => () => void navigate(path);
    const before: Entry[] = [
      ...PLACES.filter(isShown).map(({ path, title, icon }) => ({
        id: path,
        title,
        kind: "place",
        icon,
        run: go(path),
      })),
      {
        id: "screens",
        title: "Search screens",
        words: "find a text ocr",
        kind: "action",
        icon: "text",
        run: go("/vms?screens"),
      },
      {
        id: "download",
        title: "Download a disk or an ISO",
        words: "export backup medium image",
        kind: "action, in its menu under Media",
        icon: "download",
        run: go("/media"),
      },
      { id: "shortcuts", title: "Help and keyboard shortcuts", kind: "action", icon: "keyboard", run: showHelp },
      ...MAKES.filter(({ needs }) => groups.some((one) => may(needs, one.gid))).map(({ title, to, icon }) => ({
        id: to,
        title,
        kind: "action",
        icon,
        run: go(to),
      })),
      ...(["light", "dark", "system"] as const).map((theme) => ({
        id: `theme-${theme}`,
        title: theme === "system" ? "Theme: as in the system" : `Theme: ${theme}`,
        kind: "action",
        icon: "eye" as const,
        run: () => chooseTheme(theme),
      })),
    ];
    const tab = (vm: Vm, part: string, title: string, icon: IconName): Entry => ({
      id: `${part}-${vm.vmid}`,
      title: `${title} ${vm.name}`,
      kind: "action",
      icon,
      run: go(`/vms/${vm.vmid}/${part}`),
    });
    const ofVm = (vm: Vm): Entry[] => [
      {
        id: `vm-${vm.vmid}`,
        title: vm.name,
        words: vm.addresses?.join(" "),
        kind: ["VM", vm.state.toLowerCase(), ...addressOf(vm)].join(", "),
        icon: "vm",
        run: go(`/vms/${vm.vmid}`),
      },
      ...(may("vm.interact", vm.gid) && vm.state !== "STOPPED" ? [tab(vm, "console", "Console", "display")] : []),
      ...(may("vm.interact", vm.gid) ? [tab(vm, "serial", "Serial", "serial")] : []),
      ...actionsOf(vm, may).map((action) => ({
        id: `${action.verb}-${vm.vmid}`,
        title: `${action.title} ${vm.name}`,
        words: `${action.verb} ${VERB_ALSO[action.verb] ?? ""}`,
        kind: "action",
        icon: VERB_ICONS[action.verb],
        asks: action.danger !== undefined,
        run: () => (action.danger ? ask(vm) : void runOnVms([vm], action)),
      })),
      ...dialogsOf(vm, may).map((one) => ({
        id: `${one}-${vm.vmid}`,
        title: `${capital(DIALOG_WORDS[one])} ${vm.name}`,
        words: DIALOG_ALSO[one],
        kind: ["action", DIALOG_ABOUT[one]].filter(Boolean).join(", "),
        icon: DIALOG_ICONS[one],
        run: go(`/vms/${vm.vmid}?do=${one}`),
      })),
      { ...tab(vm, "settings", "Settings", "settings"), words: SETTINGS },
    ];
    const after: Entry[] = [
      ...media.map((one) => ({
        id: one.mid,
        title: one.name,
        kind: "medium",
        icon: isIso(one) ? ("disc" as const) : ("disk" as const),
        run: go(`/media/${one.mid}`),
      })),
      ...groups.map((one) => ({
        id: `g-${one.gid}`,
        title: groupTitle(one),
        kind: "group",
        icon: "groups" as const,
        run: go(`/groups/${one.gid}`),
      })),
      ...users.map((one) => ({
        id: `u-${one.uid}`,
        title: one.name,
        kind: "user",
        icon: "person" as const,
        run: go(`/users/${one.uid}`),
      })),
    ];
    return { before, vms: lately(vms, recent), ofVm, verbs: WORDS, after };
  }, [navigate, vms, media, groups, users, may, isShown, ask, showHelp, recent]);
}
