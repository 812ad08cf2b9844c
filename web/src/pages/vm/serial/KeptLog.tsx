/** What a stopped VM said last on its serial console: read only. */
import { useEffect, useRef, useState } from "react";
import { ReadLog } from "@/api/limits";
import type { Vm } from "@/api/live";
import { useAnswer } from "@/api/queries";
import { Failed } from "@/ui/Failed";
import { Loading } from "@/ui/Loading";
import { ConsoleTools } from "../console/ConsoleShell";
import { save } from "../console/save";
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
    <>
      <ConsoleTools>
        {!complete && bytes < ALL && (
          <button type="button" className="v-tool" onClick={() => setBytes(ALL)}>
            Show more
          </button>
        )}
        {text && (
          <button
            type="button"
            className="v-tool"
            onClick={() => save(new Blob([text], { type: "text/plain" }), `${vm.name}-serial.log`)}
          >
            Download
          </button>
        )}
      </ConsoleTools>
      <div className="v-note v-note-off">
        <strong>{text ? "The VM is stopped: this is its last output" : "The VM is stopped and has no output"}</strong>
      </div>
      {text && <Shown key={text.length} text={text} name={vm.name} />}
    </>
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
