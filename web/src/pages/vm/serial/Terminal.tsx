/** The serial console of a VM that runs. */
import {
  Button,
  HelperText,
  HelperTextItem,
  Toolbar,
  ToolbarContent,
  ToolbarItem,
  Tooltip,
} from "@patternfly/react-core";
import { useCallback, useRef } from "react";
import type { Vm } from "@/api/live";
import { LinkNotice } from "../console/LinkNotice";
import { KeyboardBar } from "./KeyboardBar";
import { useSerial } from "./useSerial";

export default function SerialTerminal({ vm }: { vm: Vm }) {
  const room = useRef<HTMLDivElement>(null);
  const way = useRef<HTMLButtonElement>(null);
  const onRelease = useCallback(() => way.current?.focus(), []);
  const { state, keyboard, move, tellSize, clear, again } = useSerial(room, vm.vmid, onRelease);
  const connected = state.is === "open";
  return (
    <div className="v-console">
      <Toolbar className="v-console-bar">
        <ToolbarContent>
          {connected && (
            <ToolbarItem alignSelf="center">
              <KeyboardBar keyboard={keyboard} onMove={move} />
            </ToolbarItem>
          )}
          <ToolbarItem align={{ default: "alignEnd" }}>
            <Button ref={way} variant="secondary" size="sm" onClick={clear}>
              Clear
            </Button>
          </ToolbarItem>
          <ToolbarItem>
            <Tooltip content="A serial line does not transmit the size. This types `stty rows … cols …` and Enter at the prompt.">
              <Button
                variant="secondary"
                size="sm"
                isAriaDisabled={!connected || (keyboard.holder !== undefined && !keyboard.yours)}
                onClick={tellSize}
              >
                Send the size to the guest
              </Button>
            </Tooltip>
          </ToolbarItem>
        </ToolbarContent>
      </Toolbar>
      <LinkNotice state={state} onNow={again} />
      <section ref={room} className="v-terminal" aria-label={`Serial console of ${vm.name}`} />
      <HelperText className="v-console-foot">
        <HelperTextItem>
          What the guest said before is above. The terminal takes every key; left <kbd>Ctrl</kbd> and <kbd>Alt</kbd>,
          pressed together and let go, lead out of it.
        </HelperTextItem>
      </HelperText>
    </div>
  );
}
