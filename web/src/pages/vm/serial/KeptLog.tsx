/** What a stopped VM said last on its serial console: read only. */
import { Alert, Button, Toolbar, ToolbarContent, ToolbarItem } from "@patternfly/react-core";
import { useEffect, useRef, useState } from "react";
import { ReadLog } from "@/api/limits";
import type { Vm } from "@/api/live";
import { useAnswer } from "@/api/queries";
import { Failed } from "@/ui/Failed";
import { Loading } from "@/ui/Loading";
import { save } from "../console/save";
import { StartButton } from "../StartButton";
import { openTerminal } from "./terminal";

const SOME = 64 * 1024;
const ALL = ReadLog.bytes.maximum;

export default function KeptLog({ vm }: { vm: Vm }) {
  const [bytes, setBytes] = useState(SOME);
  const log = useAnswer("post", "/v/vm/log", { vmid: vm.vmid, bytes });
  if (log.isError) return <Failed error={log.error} what="The log" again={() => void log.refetch()} />;
  if (!log.data) return <Loading />;
  const { text, complete } = log.data;
  return (
    <div className="v-console">
      <Alert
        component="p"
        isInline
        variant="info"
        title={text ? "The VM is stopped: this is its last output" : "The VM is stopped and has no output"}
      />
      <Toolbar className="v-console-bar">
        <ToolbarContent>
          <ToolbarItem>
            <StartButton vm={vm} />
          </ToolbarItem>
          {!complete && bytes < ALL && (
            <ToolbarItem>
              <Button variant="secondary" onClick={() => setBytes(ALL)}>
                Show more
              </Button>
            </ToolbarItem>
          )}
          {text && (
            <ToolbarItem>
              <Button
                variant="secondary"
                onClick={() => save(new Blob([text], { type: "text/plain" }), `${vm.name}-serial.log`)}
              >
                Download
              </Button>
            </ToolbarItem>
          )}
        </ToolbarContent>
      </Toolbar>
      {text && <Shown key={text.length} text={text} name={vm.name} />}
    </div>
  );
}

function Shown({ text, name }: { text: string; name: string }) {
  const room = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const { terminal, dispose } = openTerminal(room.current as HTMLDivElement, () => false, true);
    terminal.write(text);
    return dispose;
  }, [text]);
  return <section ref={room} className="v-terminal" aria-label={`Last output of ${name}`} />;
}
