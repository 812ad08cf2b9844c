/** A token and the command for the other machine, and whether it has joined. */
import { Alert, Button, ClipboardCopy, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import type { NodeInfo, Token } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { FormDialog, useRefusal } from "@/ui/FormDialog";
import { Status } from "@/ui/labels";
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
      about="Another machine becomes a host of this server: its VMs are on this page, beside all others."
      verb="Make a token"
      ready
      refusal={refusal.last}
      cli={["velocity", "node", "token"]}
      request={{ method: "put", path: "/h/node/token", body: {} }}
      onSubmit={async () => {
        await act({
          pending: "Making a token",
          do: async () => {
            try {
              setToken(await call("put", "/h/node/token", {}));
            } catch (error) {
              refusal.set(error);
              throw error;
            }
          },
        });
        return false; // what was made is shown, or what was refused
      }}
      onClose={onClose}
    >
      <p>
        Velocity has to be installed there, of the same version. A token is one word, for one machine, and lasts an
        hour.
      </p>
    </FormDialog>
  );
}

function Waiting({ token, joined, onClose }: { token: Token; joined: NodeInfo | undefined; onClose: () => void }) {
  return (
    <Modal isOpen variant="medium" onClose={onClose} aria-labelledby="token-title">
      <ModalHeader title={joined ? `${joined.name} has joined` : "Let the other machine join"} labelId="token-title" />
      <ModalBody>
        {(token.warnings ?? []).map((warning) => (
          <Alert key={warning} component="p" isInline variant="warning" title={warning} />
        ))}
        <p className="v-space-above">
          On the other machine, as root, <code>velocity node join</code> asks for this token:
        </p>
        <ClipboardCopy isReadOnly hoverTip="Copy" clickTip="Copied" textAriaLabel="Token">
          {token.token}
        </ClipboardCopy>
        <p className="v-subtle">
          It is not shown again, and expires <When at={token.expires} />. Then start the node there:
        </p>
        <ClipboardCopy isReadOnly isCode hoverTip="Copy" clickTip="Copied" textAriaLabel="Command">
          velocity service install --node && systemctl daemon-reload && systemctl enable --now velocity-node
        </ClipboardCopy>
        <div className="v-space-above" aria-live="polite">
          {joined ? (
            <>
              <Status tone={hostStatus(joined).tone}>{hostStatus(joined).word}</Status>
              {joined.message !== undefined && <p className="v-subtle">{joined.message}</p>}
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
