/** The graphical console of one VM that runs: every display, as noVNC shows it. */
import { useCallback, useRef, useState } from "react";
import { useSearchParams } from "react-router";
import type { Vm } from "@/api/live";
import { readStored, writeStored } from "@/api/stored";
import { useAction } from "@/ui/actions";
import { ConsoleBar } from "./ConsoleBar";
import { ConsoleTools, useConsolePlace } from "./ConsoleShell";
import { keysOf, press } from "./chords";
import { LinkNotice, WayOut } from "./LinkNotice";
import { Paste } from "./Paste";
import { save } from "./save";
import { type Scaling, useDisplayConsole } from "./useDisplayConsole";

const HINT = {
  placeholder:
    "The guest draws nothing here yet: it is starting, or has no driver for this display (virtio-gpu). The serial console may say more.",
  black: "The screen is black: the guest may be asleep. Press a key to wake it.",
  drawn: undefined,
} as const;
const KEEPS_SIZE =
  "The guest keeps its own size: to match the window, it needs a driver for this display (virtio-gpu) and a desktop that follows.";

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
  const { frame } = useConsolePlace();
  const room = useRef<HTMLDivElement>(null);
  const way = useRef<HTMLButtonElement>(null);
  const [scaling, setScaling] = useState<Scaling>(() => readStored("console.scaling", "fit"));
  const [pasting, setPasting] = useState(false);
  const act = useAction();
  const onRelease = useCallback(() => way.current?.focus(), []);
  const screen = useDisplayConsole(room, { vmid: vm.vmid, display, scaling, onRelease });
  const connected = screen.state.is === "open";
  const inside = useCallback(() => (document.fullscreenElement ? frame.current : null) ?? document.body, [frame]);
  const hint = connected
    ? (HINT[screen.seen] ?? (scaling === "follow" && screen.keepsSize ? KEEPS_SIZE : undefined))
    : undefined;
  return (
    <>
      <ConsoleTools>
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
          room={() => frame.current ?? document.body}
          way={way}
        />
      </ConsoleTools>
      <div ref={room} className={`v-guest v-guest-${scaling}`} />
      <WayOut />
      <LinkNotice state={screen.state} onNow={screen.again} />
      <p className="v-console-hint" aria-live="polite">
        {hint && <span>{hint}</span>}
      </p>
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
    </>
  );
}
