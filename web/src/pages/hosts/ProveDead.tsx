/** The word that a host runs nothing any more, its being powered off, or blocklisted: for which VMs. */
import { Alert, FormGroup, TextInput } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import { useObjects } from "@/api/live";
import type { NodeInfo } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { Sentence } from "@/ui/Sentence";
import { When } from "@/ui/When";
import { hostWord, namesOf } from "./words";

const FREED =
  "VMs whose media another host has can start there then. Those with “Restart after a failure” do so at once.";

const WORDS = {
  confirm: {
    title: (name: string) => `Confirm that ${name} is off`,
    promise: "You confirm that this machine no longer runs any of these VMs: it is off, or cut off from their disks.",
    risk: "If that is not so, a VM that is started elsewhere runs twice and destroys its disks. Whatever still runs there is ended as soon as the host responds.",
    freed: FREED,
    verb: "Confirm that it is off",
    pending: (name: string) => `Confirming that ${name} is off`,
    done: (name: string) => `${name} is confirmed dead; its VMs can start elsewhere`,
    cli: (host: NodeInfo) => ["velocity", "node", "confirm-dead", hostWord(host)],
  },
  fence: {
    title: (name: string) => `Power off ${name}?`,
    promise: "Its fence agent powers the machine off, with all that runs on it.",
    risk: "Once the agent says that it is off, its VMs can start elsewhere. Guests lose what they had not written yet.",
    freed: FREED,
    verb: "Power off",
    pending: (name: string) => `Powering ${name} off`,
    done: (name: string) => `${name} is off; its VMs can start elsewhere`,
    cli: (host: NodeInfo) => ["velocity", "node", "fence", hostWord(host), "--now"],
  },
  blocklist: {
    title: (name: string) => `Blocklist ${name} on Ceph?`,
    promise:
      "Ceph accepts nothing more from this machine, so it cannot write to its disks on RBD until it responds again.",
    risk: "VMs that write only to RBD can start elsewhere. Others stay, and get errors from their disks on RBD.",
    freed: undefined,
    verb: "Blocklist",
    pending: (name: string) => `Blocklisting ${name} on Ceph`,
    done: (name: string) => `${name} is blocklisted; VMs that write only to RBD can start elsewhere`,
    cli: (host: NodeInfo) => ["velocity", "node", "fence", hostWord(host), "--blocklist"],
  },
};

/** What runs there, or did when it last responded. */
function onIt(host: NodeInfo, vms: readonly { name: string }[]): string {
  const lost = host.state !== "online";
  if (vms.length === 0) return lost ? "No VM was running on it." : "No VM runs on it.";
  return `${lost ? "When it last responded, these ran on it" : "These run on it"}: ${namesOf(vms)}.`;
}

const PATHS = {
  confirm: { method: "put", path: "/h/node/dead" },
  fence: { method: "patch", path: "/h/node/fence" },
  blocklist: { method: "put", path: "/h/node/blocklist" },
} as const;

export function ProveDead({ host, how, onClose }: { host: NodeInfo; how: keyof typeof WORDS; onClose: () => void }) {
  const act = useAction();
  const refusal = useRefusal(["name"]);
  const [name, setName] = useState("");
  const vms = useObjects("vm").filter((one) => one.host?.id === host.host && one.state !== "STOPPED");
  const words = WORDS[how];
  const body = { host: host.host, name };
  const other = name !== host.name ? `Type ${host.name}.` : undefined;
  const prove = async () => {
    try {
      if (how === "confirm") await call("put", "/h/node/dead", body);
      else if (how === "fence") await call("patch", "/h/node/fence", body);
      else await call("put", "/h/node/blocklist", body);
    } catch (error) {
      refusal.set(error);
      throw error;
    }
  };
  return (
    <FormDialog
      title={words.title(host.name)}
      about={words.promise}
      verb={words.verb}
      danger
      ready={!other}
      refusal={refusal.last}
      cli={words.cli(host)}
      request={{ ...PATHS[how], body }}
      onSubmit={() => act({ pending: words.pending(host.name), done: words.done(host.name), do: prove })}
      onClose={onClose}
    >
      <Alert component="p" isInline variant="warning" title={words.risk} />
      <p className="v-words">
        {host.since !== undefined && (
          <>
            It stopped responding <When at={host.since} />.{" "}
          </>
        )}
        <Sentence>{onIt(host, vms)}</Sentence>
      </p>
      {words.freed !== undefined && vms.length > 0 && <p>{words.freed}</p>}
      <FormGroup label="Name of the host" fieldId="prove-name" isRequired>
        <TextInput
          id="prove-name"
          value={name}
          onChange={(_event, value) => setName(value)}
          validated={(name && other) || refusal.at("name") ? "error" : "default"}
          autoComplete="off"
          isRequired
        />
        <Hint wrong={refusal.at("name")}>{`Type ${host.name}.`}</Hint>
      </FormGroup>
    </FormDialog>
  );
}
