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
import { NAMES } from "@/ui/texts/names";
import { hostWords } from "@/ui/texts/words";
import { When } from "@/ui/When";
import { hostStatus, hostWord, newcomer } from "./words";

export function AddHost({
  hosts,
  again,
  onClose,
}: {
  hosts: readonly NodeInfo[];
  /** One that is known, and is to join again; absent: one more. */
  again?: NodeInfo;
  onClose: () => void;
}) {
  const act = useAction();
  const [token, setToken] = useState<Token>();
  const [before] = useState(hosts);
  const body = again ? { host: again.host } : {};
  const title = again ? `Let ${again.name} join again` : "Add a host";
  const refusal = useRefusal([]);
  if (token) return <Waiting title={title} token={token} joined={newcomer(before, hosts)} onClose={onClose} />;
  return (
    <FormDialog
      title={title}
      about={
        again
          ? "Its machine was reinstalled, or its certificate is no longer valid. The old certificate is refused from the moment it joins."
          : "Another machine becomes a host of this server, and runs VMs for it."
      }
      verb="Create a token"
      ready
      refusal={refusal.last}
      cli={["velocity", "node", "token", ...(again ? ["--again", hostWord(again)] : [])]}
      request={{ method: "put", path: "/h/node/token", body }}
      onSubmit={async () => {
        await act({
          pending: "Creating a token",
          do: () =>
            refusal.during(async () => {
              setToken(await call("put", "/h/node/token", body));
            }),
        });
        return false; // what was made is shown, or what was refused
      }}
      onClose={onClose}
    >
      <p>
        {again ? "Stop its node first." : "Install the same version of Velocity there first."} A token lets one machine
        join, within an hour.
      </p>
    </FormDialog>
  );
}

function Waiting({
  title,
  token,
  joined,
  onClose,
}: {
  title: string;
  token: Token;
  joined: NodeInfo | undefined;
  onClose: () => void;
}) {
  return (
    <Modal isOpen variant="medium" onClose={onClose} aria-labelledby="token-title">
      <ModalHeader title={<Sentence>{joined ? `${joined.name} has joined` : title}</Sentence>} labelId="token-title" />
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
        {!joined && (
          <>
            <p className="v-space-above">
              On the other machine, as root, <code>velocity node join</code> asks for this token:
            </p>
            <Code label="Token" text={token.token} />
            <p className="v-subtle v-space-above">
              It is not shown again, and expires <When at={token.expires} />.
            </p>
          </>
        )}
        {joined?.state !== "online" && (
          <>
            <p className="v-space-above">{joined ? "Start the node there:" : "Then start the node there:"}</p>
            <Code
              label="Command"
              text="velocity service install --node && systemctl daemon-reload && systemctl enable --now velocity-node"
            />
            <p className="v-subtle v-space-above">
              If that machine has a settings file, give each <code>velocity</code> command <code>--config FILE</code>.
            </p>
          </>
        )}
        <div className="v-space-above" aria-live="polite">
          {joined ? (
            <>
              <Status tone={hostStatus(joined).tone}>{hostStatus(joined).word}</Status>
              {joined.message !== undefined && (
                <p className="v-subtle">
                  <Sentence>{hostWords(joined.message, NAMES)}</Sentence>
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
