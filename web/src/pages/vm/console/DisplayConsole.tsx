/** The graphical console of one VM that runs: every display, as noVNC shows it. */
import { HelperText, HelperTextItem } from "@patternfly/react-core";
import { useCallback, useEffect, useRef, useState } from "react";
import { useSearchParams } from "react-router";
import type { Vm } from "@/api/live";
import { readStored, writeStored } from "@/api/stored";
import { useAction } from "@/ui/actions";
import { ConsoleBar } from "./ConsoleBar";
import { keysOf, press } from "./chords";
import { LinkNotice } from "./LinkNotice";
import { Paste } from "./Paste";
import { save } from "./save";
import { type Scaling, useDisplayConsole } from "./useDisplayConsole";

const HINT = {
  placeholder:
    "The guest draws nothing on this display yet: it is still starting, or has no driver for it (virtio-gpu). Its other displays or its serial console may say more.",
  black: "The screen is black: the guest may be asleep. Press a key to wake it.",
  drawn: undefined,
} as const;

export default function DisplayConsole({ vm }: { vm: Vm }) {
  const [search, setSearch] = useSearchParams();
  const display = vm.displays.find((one) => one.name === search.get("display")) ?? vm.displays[0];
  if (!display) return null;
  return (
    <Connected
      key={display.name}
      vm={vm}
      display={display.name}
      onDisplay={(name) => setSearch({ display: name }, { replace: true })}
    />
  );
}

function Connected({ vm, display, onDisplay }: { vm: Vm; display: string; onDisplay: (name: string) => void }) {
  const frame = useRef<HTMLDivElement>(null);
  const room = useRef<HTMLDivElement>(null);
  const way = useRef<HTMLButtonElement>(null);
  const [scaling, setScaling] = useState<Scaling>(() => readStored("console.scaling", "fit"));
  const [pasting, setPasting] = useState(false);
  const act = useAction();
  const { full, toggle } = useFull(frame);
  const onRelease = useCallback(() => way.current?.focus(), []);
  const screen = useDisplayConsole(room, { vmid: vm.vmid, display, scaling, onRelease });
  const connected = screen.state.is === "open";
  const inside = useCallback(() => (full && frame.current) || document.body, [full]);
  const hint = connected ? HINT[screen.seen] : undefined;
  return (
    <div ref={frame} className={full ? "v-console v-console-full" : "v-console"}>
      <ConsoleBar
        displays={vm.displays}
        display={display}
        onDisplay={onDisplay}
        scaling={scaling}
        onScaling={(chosen) => {
          setScaling(chosen);
          writeStored("console.scaling", chosen);
        }}
        connected={connected}
        onChord={(chord) => {
          press(keysOf(chord), screen.send);
          screen.focus();
        }}
        onPaste={() => setPasting(true)}
        onPicture={() =>
          void act({
            pending: "Taking a screenshot",
            do: async () => save(await screen.picture(), `${vm.name}-${display}.png`),
          })
        }
        full={full}
        onFull={toggle}
        room={() => frame.current ?? document.body}
        way={way}
      />
      <LinkNotice state={screen.state} onNow={screen.again} />
      <div ref={room} className={`v-screen v-screen-${scaling}`} />
      <HelperText isLiveRegion className="v-console-foot">
        {hint && <HelperTextItem variant="indeterminate">{hint}</HelperTextItem>}
        <HelperTextItem>
          The screen receives every key after it is clicked. Left <kbd>Ctrl</kbd> and <kbd>Alt</kbd>, pressed together
          and let go, lead out of it.
        </HelperTextItem>
      </HelperText>
      {pasting && (
        <Paste
          send={screen.send}
          room={inside}
          onClose={() => {
            setPasting(false);
            setTimeout(screen.focus); // the dialog gives the focus back to its button first
          }}
        />
      )}
    </div>
  );
}

/** Full screen of an element; in it the browser gives us the keys that it can (Alt-Tab, Super, Esc). */
function useFull(element: React.RefObject<HTMLDivElement | null>) {
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
