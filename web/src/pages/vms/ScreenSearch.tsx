/** Finds a text on the screens of running VMs. */

import {
  Alert,
  Content,
  EmptyState,
  Modal,
  ModalBody,
  ModalHeader,
  SearchInput,
  Spinner,
} from "@patternfly/react-core";
import { type FormEvent, useRef, useState } from "react";
import { Link } from "react-router";
import { call } from "@/api/call";
import { ApiError, messageOf } from "@/api/http";
import { SearchScreens } from "@/api/limits";
import { useObjects } from "@/api/live";
import type { Hits } from "@/api/schema";
import { SameAs } from "@/ui/SameAs";
import { Sentence } from "@/ui/Sentence";
import { Marked } from "./Marked";

type Found =
  | { is: "nothing" }
  | { is: "looking" }
  | { is: "found"; text: string; hits: Hits }
  | { is: "failed"; error: unknown };

export function ScreenSearch({ onClose }: { onClose: () => void }) {
  const [words, setWords] = useState("");
  const [found, setFound] = useState<Found>({ is: "nothing" });
  const turn = useRef(0);
  const text = words.trim();
  const look = async (event?: FormEvent) => {
    event?.preventDefault();
    if (!text) return;
    const mine = ++turn.current;
    setFound({ is: "looking" });
    try {
      const hits = await call("post", "/v/vm/screen/search", { text });
      if (mine === turn.current) setFound({ is: "found", text, hits });
    } catch (error) {
      if (mine === turn.current) setFound({ is: "failed", error });
    }
  };
  return (
    <Modal
      isOpen
      variant="medium"
      position="top"
      onClose={onClose}
      aria-labelledby="screens-title"
      elementToFocus="#screens-text input"
    >
      <ModalHeader
        title="Search screens"
        labelId="screens-title"
        description="Reads the screens of the running VMs that you may use, and finds a text on them."
      />
      <ModalBody>
        <form id="screens-text" onSubmit={(event) => void look(event)}>
          <SearchInput
            aria-label="Text to find on screens"
            placeholder="panic, login:, an error message"
            value={words}
            maxLength={SearchScreens.text.maxLength}
            onChange={(_event, value) => setWords(value)}
            onClear={() => {
              turn.current += 1;
              setWords("");
              setFound({ is: "nothing" });
            }}
            onSearch={() => void look()}
          />
        </form>
        <div role="status" className="v-space-above">
          {found.is === "looking" && (
            <>
              <Spinner size="md" aria-label="Looking" /> Reading the screens
            </>
          )}
          {found.is === "failed" && (
            <Alert isInline variant="danger" title="The screens cannot be searched">
              <Sentence>{messageOf(found.error)}</Sentence>
              {found.error instanceof ApiError && found.error.request && (
                <Content component="small">Request {found.error.request}</Content>
              )}
            </Alert>
          )}
          {found.is === "found" && <Results text={found.text} hits={found.hits} />}
        </div>
        {text && <SameAs request={{ method: "post", path: "/v/vm/screen/search", body: { text } }} />}
      </ModalBody>
    </Modal>
  );
}

function Results({ text, hits }: { text: string; hits: Hits }) {
  const vms = useObjects("vm");
  return (
    <>
      {!hits.complete && (
        <Alert
          isInline
          isPlain
          variant="warning"
          title="Not all screens could be read in time. Search again for the rest."
        />
      )}
      {hits.hits.length === 0 ? (
        <EmptyState titleText={`“${text}” was not found on any screen`} headingLevel="h2" variant="sm" />
      ) : (
        <ul className="v-hits">
          {hits.hits.map((hit, index) => {
            const vm = vms.find((one) => one.vmid === hit.vmid);
            const several = (vm?.displays.length ?? 0) > 1;
            return (
              // biome-ignore lint/suspicious/noArrayIndexKey: the same line may stand on a screen twice
              <li key={index}>
                <Link to={`/vms/${hit.vmid}/console`}>{vm?.name ?? `VM ${hit.vmid}`}</Link>
                {several && <span className="v-subtle"> {hit.display}</span>}
                <code>
                  <Marked line={hit.line} text={text} />
                </code>
              </li>
            );
          })}
        </ul>
      )}
    </>
  );
}
