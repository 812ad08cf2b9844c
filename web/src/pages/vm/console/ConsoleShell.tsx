/** What is around a console: one slim bar that can be hidden, and nothing else. Notices lie over the screen: nothing jumps. */
import { createContext, type ReactNode, type RefObject, useContext, useEffect, useRef, useState } from "react";
import { createPortal } from "react-dom";
import { at } from "@/api/base";
import type { Vm } from "@/api/live";
import { readStored, writeStored } from "@/api/stored";
import { Icon, type IconName } from "@/look/Icon";
import { StateLabel } from "@/ui/labels";
import { VmActions } from "../VmActions";
import { VmNotes } from "../VmHead";

const BAR = "console.bar";

interface ConsolePlace {
  /** Where in the bar a console puts its own tools. */
  tools: HTMLElement | null;
  /** All of it: what is in full screen, and where dialogs are put then. */
  frame: RefObject<HTMLDivElement | null>;
}

const Place = createContext<ConsolePlace>({ tools: null, frame: { current: null } });
export const useConsolePlace = (): ConsolePlace => useContext(Place);

/** In the bar. */
export function ConsoleTools({ children }: { children: ReactNode }) {
  const { tools } = useConsolePlace();
  return tools && createPortal(children, tools);
}

export function ConsoleShell({
  vm,
  tab,
  tabs,
  own = false,
  children,
}: {
  vm: Vm;
  tab: string;
  tabs: ReactNode;
  /** It has a window of its own. */
  own?: boolean;
  children: ReactNode;
}) {
  const frame = useRef<HTMLDivElement>(null);
  const show = useRef<HTMLButtonElement>(null);
  const [tools, setTools] = useState<HTMLElement | null>(null);
  const [hidden, setHidden] = useState(() => readStored<"shown" | "hidden">(BAR, "shown") === "hidden");
  const { full, toggle } = useFull(frame);
  useEffect(() => {
    if (!own) document.title = `${vm.name} · Velocity`;
  }, [own, vm.name]);
  const hide = (on: boolean) => {
    setHidden(on);
    writeStored(BAR, on ? "hidden" : "shown");
    if (on) setTimeout(() => show.current?.focus());
  };
  return (
    <Place.Provider value={{ tools, frame }}>
      <div ref={frame} className={`v-console v-dark${hidden ? " v-console-hides" : ""}`}>
        <header className="v-head v-console-bar">
          <h1 title={vm.name}>{vm.name}</h1>
          <p className="v-head-status">
            <StateLabel vm={vm} />
          </p>
          {tabs}
          <div ref={setTools} className="v-console-tools" />
          {toggle && (
            <Tool icon={full ? "small" : "full"} label={full ? "Leave full screen" : "Full screen"} onPress={toggle} />
          )}
          {!own && (
            <Tool icon="open" label="Open in a window" onPress={() => openWindow(vm, tab)} className="v-console-own" />
          )}
          <Tool icon="up" label="Hide the bar" onPress={() => hide(true)} />
          {!full && <VmActions vm={vm} />}
        </header>
        {hidden && (
          <button
            ref={show}
            type="button"
            className="v-console-handle"
            aria-label="Show the bar"
            onClick={() => hide(false)}
          >
            <Icon name="down" />
          </button>
        )}
        <div className="v-console-room">{children}</div>
        <div className="v-console-notes">
          <VmNotes vm={vm} />
        </div>
      </div>
    </Place.Provider>
  );
}

/** A button of the bar: an icon, and what it does when one points at it. */
export function Tool({
  icon,
  label,
  onPress,
  disabled,
  className = "",
}: {
  icon: IconName;
  label: string;
  onPress: () => void;
  disabled?: boolean;
  className?: string;
}) {
  return (
    <button
      type="button"
      className={`v-tool ${className}`}
      aria-label={label}
      title={label}
      disabled={disabled}
      onClick={onPress}
    >
      <Icon name={icon} />
    </button>
  );
}

/** One for each console of a VM: pressed again, the window that is there comes to the front. */
function openWindow(vm: Vm, tab: string): void {
  const shape = "popup,width=1320,height=880";
  window.open(at(`/window/vms/${vm.vmid}/${tab}`) + location.search, `velocity-${vm.vmid}-${tab}`, shape)?.focus();
}

/** Full screen of an element; in it the browser gives us the keys that it can (Alt-Tab, Super, Esc). */
function useFull(element: RefObject<HTMLDivElement | null>) {
  const [full, setFull] = useState(false);
  useEffect(() => {
    const hear = () => setFull(document.fullscreenElement !== null && document.fullscreenElement === element.current);
    document.addEventListener("fullscreenchange", hear);
    return () => document.removeEventListener("fullscreenchange", hear);
  }, [element]);
  const toggle = async () => {
    const { keyboard } = navigator as { keyboard?: { lock?: () => Promise<void>; unlock?: () => void } };
    if (document.fullscreenElement) {
      keyboard?.unlock?.();
      await document.exitFullscreen();
    } else {
      await element.current?.requestFullscreen();
      await keyboard?.lock?.().catch(() => undefined);
    }
  };
  return { full, toggle: document.fullscreenEnabled ? () => void toggle().catch(() => undefined) : undefined };
}
