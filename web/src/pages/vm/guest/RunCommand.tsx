/** A command line that a shell of the guest runs, and what it printed: the guest's own words, shown as text. */
import { FormGroup, FormSelect, FormSelectOption, TextArea } from "@patternfly/react-core";
import { useState } from "react";
import { fromBase64 } from "@/api/base64";
import { call } from "@/api/call";
import { Execute } from "@/api/limits";
import type { Executed } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { Code } from "@/ui/Code";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { useGroupPath } from "@/ui/groups";
import { vmFirst } from "@/ui/vmCli";
import type { OfGuest } from "./dialog";
import { isWindows } from "./UserField";

const SHELLS = {
  sh: { title: "sh", words: ["/bin/sh", "-c"] },
  cmd: { title: "Command Prompt", words: ["cmd.exe", "/c"] },
  powershell: { title: "PowerShell", words: ["powershell.exe", "-NoProfile", "-Command"] },
};
type Shell = keyof typeof SHELLS;
/** Seconds. */
const TIMEOUT = 60;

export function RunCommand({ vm, told, onClose }: OfGuest) {
  const act = useAction();
  const path = useGroupPath();
  const refusal = useRefusal(["command"]);
  const [line, setLine] = useState("");
  const [shell, setShell] = useState<Shell>(isWindows(told) ? "cmd" : "sh");
  const [ended, setEnded] = useState<Executed>();
  const command = [...SHELLS[shell].words, line];
  const body = { vmid: vm.vmid, command, timeout: Math.min(TIMEOUT, Execute.timeout.maximum) };
  return (
    <FormDialog
      title={`Run a command in ${vm.name}`}
      about={`The guest agent runs it, with all rights in the guest. Its output is shown when it has ended, within ${TIMEOUT} seconds.`}
      verb={ended ? "Run again" : "Run"}
      no={ended ? "Close" : "Cancel"}
      ready={line.trim() !== ""}
      missing="Type a command."
      refusal={refusal.last}
      cli={["velocity", "vm", "exec", ...vmFirst({ ...vm, path: path(vm.gid) }), "--", ...command]}
      request={{ method: "put", path: "/v/vm/exec", body }}
      onSubmit={async () => {
        await act({
          pending: `Running a command in ${vm.name}`,
          do: () =>
            refusal.during(async () => {
              setEnded(undefined);
              setEnded(await call("put", "/v/vm/exec", body));
            }),
        });
        return false; // its output is shown, or what was refused
      }}
      onClose={onClose}
    >
      <FormGroup label="Command" fieldId="guest-command" isRequired>
        <TextArea
          id="guest-command"
          value={line}
          onChange={(_event, value) => setLine(value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey) return;
            event.preventDefault();
            event.currentTarget.form?.requestSubmit();
          }}
          rows={2}
          resizeOrientation="vertical"
          spellCheck={false}
          autoComplete="off"
          validated={refusal.at("command") ? "error" : "default"}
        />
        <Hint wrong={refusal.at("command")}>Enter runs it; Shift-Enter begins a new line.</Hint>
      </FormGroup>
      <FormGroup label="Run by" fieldId="guest-shell">
        <FormSelect id="guest-shell" value={shell} onChange={(_event, chosen) => setShell(chosen as Shell)}>
          {(Object.keys(SHELLS) as Shell[]).map((one) => (
            <FormSelectOption key={one} value={one} label={SHELLS[one].title} />
          ))}
        </FormSelect>
      </FormGroup>
      <div aria-live="polite">{ended && <Ended ended={ended} />}</div>
    </FormDialog>
  );
}

function Ended({ ended }: { ended: Executed }) {
  const out = textOf(ended.stdout);
  const error = textOf(ended.stderr);
  const cut = ended.stdout_truncated || ended.stderr_truncated;
  return (
    <>
      <p>
        {endWords(ended)}
        {cut && " Only the first MiB of what it printed is shown."}
      </p>
      {out && <Code label="Output" text={out} />}
      {error && <Code label="Errors" text={error} />}
    </>
  );
}

function endWords({ running, signal, exit_status: status }: Executed): string {
  if (running) return "It has not ended in time, and continues in the guest.";
  if (signal !== undefined) return `It was ended by signal ${signal}.`;
  return status === 0 ? "It ended without an error." : `It ended with status ${status}.`;
}

const textOf = (content: string): string => new TextDecoder().decode(fromBase64(content)).replaceAll("\r\n", "\n");
