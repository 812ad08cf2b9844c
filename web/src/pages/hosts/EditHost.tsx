/** A host's name, address and labels. */
import { FormGroup, TextArea, TextInput } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import type { NodeInfo } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { nameProblem } from "@/ui/problems";
import { editCli, hostLabels, labelText } from "./words";

const FIELDS = ["name", "address", "labels"];

export function EditHost({ host, onClose }: { host: NodeInfo; onClose: () => void }) {
  const act = useAction();
  const refusal = useRefusal(FIELDS);
  const [name, setName] = useState(host.name);
  const [address, setAddress] = useState(host.address ?? "");
  const [text, setText] = useState(() => labelText(host.labels, "\n"));
  const [labels, wrong] = hostLabels(text);
  const naming = nameProblem(name);
  const changes = {
    ...(name === host.name ? {} : { name }),
    ...(address.trim() === (host.address ?? "") ? {} : { address: address.trim() }),
    ...(labelText(labels) === labelText(host.labels) ? {} : { labels }),
  };
  const body = { host: host.host, ...changes };
  return (
    <FormDialog
      title={`Edit ${host.name}`}
      verb="Save"
      ready={!naming && !wrong && Object.keys(changes).length > 0}
      missing={naming || wrong ? undefined : "Nothing has been changed yet."}
      refusal={refusal.last}
      cli={editCli(host, changes)}
      request={{ method: "patch", path: "/h/node", body }}
      onSubmit={() =>
        act({
          pending: `Changing ${host.name}`,
          done: `${name} changed`,
          do: () => refusal.during(() => call("patch", "/h/node", body)),
        })
      }
      onClose={onClose}
    >
      <FormGroup label="Name" fieldId="host-name" isRequired>
        <TextInput
          id="host-name"
          value={name}
          onChange={(_event, value) => setName(value)}
          validated={(naming ?? refusal.at("name")) ? "error" : "default"}
          isRequired
        />
        <Hint wrong={naming ?? refusal.at("name")} />
      </FormGroup>
      {(host.address !== undefined || !host.own) && (
        <FormGroup label="Address" fieldId="host-address">
          <TextInput
            id="host-address"
            value={address}
            onChange={(_event, value) => setAddress(value)}
            validated={refusal.at("address") ? "error" : "default"}
          />
          <Hint wrong={refusal.at("address")}>Where the server finds it: host:port.</Hint>
        </FormGroup>
      )}
      <FormGroup label="Labels" fieldId="host-labels">
        <TextArea
          id="host-labels"
          value={text}
          onChange={(_event, value) => setText(value)}
          placeholder={"disk=ssd\nrack=a"}
          rows={4}
          autoComplete="off"
          spellCheck={false}
          validated={(wrong ?? refusal.at("labels")) ? "error" : "default"}
        />
        <Hint wrong={wrong ?? refusal.at("labels")}>
          One per line, as name=value. A VM can ask for a host that has them.
        </Hint>
      </FormGroup>
    </FormDialog>
  );
}
