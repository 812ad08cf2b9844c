/** By which fence agent a host is powered off when it is lost. */
import { Button, FormGroup, TextArea, TextInput } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import type { NodeInfo } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { fenceCli, fenceOptions, hostWord, SECRET } from "./words";

const FIELDS = ["agent", "options"];

export function SetFence({ host, onClose }: { host: NodeInfo; onClose: () => void }) {
  const act = useAction();
  const refusal = useRefusal(FIELDS);
  const [agent, setAgent] = useState(host.fence?.agent ?? "fence_ipmilan");
  const [text, setText] = useState(() =>
    Object.entries(host.fence?.options ?? {})
      .map(([name, value]) => `${name}=${value}\n`)
      .join(""),
  );
  const [options, wrong] = fenceOptions(text);
  const body = { host: host.host, agent: agent.trim(), options };
  const naming = /^(\/.*\/)?fence_\w+$/.test(body.agent) ? undefined : "An agent's name begins with fence_.";
  const send = async () => {
    try {
      await call("put", "/h/node/fence", body);
    } catch (error) {
      refusal.set(error);
      throw error;
    }
  };
  const secrets = host.fence?.secrets ?? [];
  return (
    <FormDialog
      title={`Fencing of ${host.name}`}
      about="A fence agent powers the machine off over its management board or its power strip. Then it is proven that nothing runs there."
      verb="Save"
      ready={!naming && !wrong}
      refusal={refusal.last}
      cli={fenceCli(host, body.agent, options)}
      request={{ method: "put", path: "/h/node/fence", body: { ...body, options: hidden(options) } }}
      onSubmit={() => act({ pending: "Saving", done: `Fence agent of ${host.name} set`, do: send })}
      onClose={onClose}
    >
      <FormGroup label="Fence agent" fieldId="fence-agent" isRequired>
        <TextInput
          id="fence-agent"
          value={agent}
          onChange={(_event, value) => setAgent(value)}
          validated={(naming ?? refusal.at("agent")) ? "error" : "default"}
          isRequired
        />
        <Hint wrong={naming ?? refusal.at("agent")}>For example fence_ipmilan, fence_redfish or fence_apc_snmp.</Hint>
      </FormGroup>
      <FormGroup label="Options" fieldId="fence-options">
        <TextArea
          id="fence-options"
          value={text}
          onChange={(_event, value) => setText(value)}
          placeholder={"ip=192.0.2.9\nusername=admin\npassword=…"}
          rows={5}
          autoComplete="off"
          spellCheck={false}
          validated={(wrong ?? refusal.at("options")) ? "error" : "default"}
        />
        <Hint wrong={wrong ?? refusal.at("options")}>
          {secrets.length > 0
            ? `One per line. Enter ${secrets.join(", ")} again: what is secret is not shown.`
            : "One per line, as name=value. Passwords are not shown again."}
        </Hint>
      </FormGroup>
      {host.fence && (
        <Button
          variant="link"
          isInline
          isDanger
          onClick={() => void forget(host, act).then((done) => done && onClose())}
        >
          Remove the fence agent
        </Button>
      )}
    </FormDialog>
  );
}

const forget = (host: NodeInfo, act: ReturnType<typeof useAction>) =>
  act({
    pending: `Removing the fence agent of ${host.name}`,
    done: `${host.name} has no fence agent`,
    do: () => call("delete", "/h/node/fence", { host: host.host }),
  });

/** What the agent says, as a toast. */
export const testFence = (host: NodeInfo, act: ReturnType<typeof useAction>) =>
  act({
    pending: `Asking the fence agent of ${hostWord(host)}`,
    done: ({ power }) => `The fence agent works: ${host.name} is ${power}`,
    do: () => call("post", "/h/node/fence", { host: host.host }),
  });

/** As it is shown beside the form: without what is secret. */
const hidden = (options: Record<string, string>) =>
  Object.fromEntries(Object.entries(options).map(([name, value]) => [name, SECRET.test(name) ? "…" : value]));
