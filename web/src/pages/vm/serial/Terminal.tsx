/** The serial console of a VM that runs. */
import { useCallback, useRef, useState } from "react";
import type { Vm } from "@/api/live";
import { ConsoleTools, Tool, useConsolePlace } from "../console/ConsoleShell";
import { LinkNotice, WayOut } from "../console/LinkNotice";
import { FindBar } from "./FindBar";
import { changeFont } from "./fontSize";
import { KeyboardAsked, KeyboardBar } from "./KeyboardBar";
import { PasteText } from "./PasteText";
import { useSerial } from "./useSerial";

const SIZE = "Tell the guest the terminal's size";
const ABOUT_SIZE = "A serial line does not transmit the size. This types `stty rows … cols …` and Enter at the prompt.";

export default function SerialTerminal({ vm }: { vm: Vm }) {
  const { frame } = useConsolePlace();
  const room = useRef<HTMLDivElement>(null);
  const way = useRef<HTMLButtonElement>(null);
  const [finding, setFinding] = useState(false);
  const [pasting, setPasting] = useState(false);
  const onRelease = useCallback(() => way.current?.focus(), []);
  const onSearch = useCallback(() => setFinding(true), []);
  const serial = useSerial(room, vm.vmid, { onRelease, onSearch });
  const { state, keyboard, move } = serial;
  const connected = state.is === "open";
  const mayType = connected && (keyboard.holder === undefined || keyboard.yours);
  const inside = useCallback(() => (document.fullscreenElement ? frame.current : null) ?? document.body, [frame]);
  const paste = () => {
    const text = navigator.clipboard?.readText?.() ?? Promise.reject(new Error("no clipboard"));
    text.then(serial.paste, () => setPasting(true));
  };
  return (
    <>
      <ConsoleTools>
        {connected && <KeyboardBar keyboard={keyboard} onMove={move} />}
        <Tool icon="paste" label="Paste" disabled={!mayType} onPress={paste} />
        <Tool icon="search" label="Search the output" onPress={() => setFinding(true)} />
        <Tool icon="smaller" label="Smaller letters" onPress={() => changeFont(-1)} />
        <Tool icon="larger" label="Larger letters" onPress={() => changeFont(1)} />
        <button ref={way} type="button" className="v-tool" onClick={serial.clear}>
          Clear
        </button>
        <button type="button" className="v-tool" title={ABOUT_SIZE} disabled={!mayType} onClick={serial.tellSize}>
          {SIZE}
        </button>
      </ConsoleTools>
      <section ref={room} className="v-terminal" aria-label={`Serial console of ${vm.name}`} />
      <WayOut />
      {finding && <FindBar terminal={serial.terminal} onClose={() => setFinding(false)} />}
      <KeyboardAsked keyboard={keyboard} onMove={move} />
      <LinkNotice state={state} onNow={serial.again} />
      {pasting && <PasteText room={inside} onPaste={serial.paste} onClose={() => setPasting(false)} />}
    </>
  );
}
