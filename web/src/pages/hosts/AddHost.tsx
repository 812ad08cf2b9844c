/** A token and the command for the other machine, and whether it has joined. */

import { Alert, Button, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import type { NodeInfo, Token } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { Code } from "@/ui/Code";
import { FormDialog, useRefusal } from "@/ui/FormDialog";
import { capital } from "@/ui/format";
import { Status } from "@/ui/labels";
import { Sentence } from "@/ui/Sentence";
import { When } from "@/ui/When";
import { hostStatus, newcomer } from "./words";

export function AddHost({ hosts, onClose }: { hosts: readonly NodeInfo[]; onClose: () => void }) {
  const act = useAction();
  const [token, setToken] = useState<Token>();
  const [before] = useState(() => new Set(hosts.map((one) => one.host)));
  const refusal = useRefusal([]);
  if (token) return <Waiting token={token} joined={newcomer(before, hosts)} onClose={onClose} />;
  return (
    <FormDialog
      title="Add a host"
      about="Another machine becomes a host of this server, and runs VMs for it."
      verb="Create a token"
      ready
      refusal={refusal.last}
      cli={["velocity", "node", "token"]}
      request={{ method: "put", path: "/h/node/token", body: {} }}
      onSubmit={async () => {
        await act({
          pending: "Creating a token",
          do: () =>
            refusal.during(async () => {
              setToken(await call("put", "/h/node/token", {}));
            }),
        });
        return false; // what was made is shown, or what was refused
      }}
      onClose={onClose}
    >
      <p>Install the same version of Velocity there first. A token lets one machine join, within an hour.</p>
    </FormDialog>
  );
}

function Waiting({ token, joined, onClose }: { token: Token; joined: NodeInfo | undefined; onClose: () => void }) {
  return (
    <Modal isOpen variant="medium" onClose={onClose} aria-labelledby="token-title">
      <ModalHeader
        title={<Sentence>{joined ? `${joined.name} has joined` : "Add a host"}</Sentence>}
        labelId="token-title"
      />
      <ModalBody>
        {(token.warnings ?? []).map((warning) => (
          <Alert
            key={warning}
            component="p"
            isInline
            variant="warning"
            title={<Sentence>{capital(warning)}</Sentence>}
          />
        ))}
        <p className="v-space-above">
          On the other machine, as root, <code>velocity node join</code> asks for this token:
        </p>
        <Code label="Token" text={token.token} />
        <p className="v-subtle">
          It is not shown again, and expires <When at={token.expires} />. Then start the node there:
        </p>
        <Code
          label="Command"
          text="velocity service install --node && systemctl daemon-reload && systemctl enable --now velocity-node"
        />
        <div className="v-space-above" aria-live="polite">
          {joined ? (
            <>
              <Status tone={hostStatus(joined).tone}>{hostStatus(joined).word}</Status>
              {joined.message !== undefined && (
                <p className="v-subtle">
                  <Sentence>{joined.message}</Sentence>
                </p>
              )}
            </>
          ) : (
            <Status tone="busy">Waiting for the machine to join</Status>
          )}
        </div>
      </ModalBody>
      <ModalFooter>
        <Button variant="primary" onClick={onClose}>
          Close
        </Button>
      </ModalFooter>
    </Modal>
  );
}
