/** What saving would do, before it is done: the server's own plan, when each part takes effect, and the same as a command. */

import { Alert, Button, List, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useEffect, useState } from "react";
import { call, plan } from "@/api/call";
import { ApiError, messageOf } from "@/api/http";
import type { Vm } from "@/api/live";
import type { Interface, Plan, VmInfo } from "@/api/schema";
import { showToast } from "@/ui/actions";
import { useAttachable } from "@/ui/attachable";
import { type CloudInitDraft, cloudInitWords } from "@/ui/cloudInit";
import { mib } from "@/ui/format";
import { forwardText } from "@/ui/forwards";
import { Taken } from "@/ui/PlanSummary";
import type { Refusal } from "@/ui/RefusalAlert";
import { SameAs } from "@/ui/SameAs";
import { Sentence } from "@/ui/Sentence";
import { NAMES } from "@/ui/texts/names";
import { asSentence, inWords } from "@/ui/texts/words";
import { bodyOf, cliOf, type Field, isAtOnce, type Settings, titleOf } from "./draft";
import { MODES } from "./modes";
import { nicText } from "./nicText";

/** The object has changed since the revision that the request names. */
const OLD_REVISION = 16429;

interface Props {
  vm: Vm;
  base: VmInfo;
  changes: Partial<Settings>;
  onClose: () => void;
  onSaved: () => void;
  onRefused: (refusal: Refusal) => void;
  onStale: () => void;
}

export function Review({ vm, base, changes, onClose, onSaved, onRefused, onStale }: Props) {
  const [planned, setPlanned] = useState<Plan>();
  const [busy, setBusy] = useState(false);
  const words = useWords(vm.gid, base.interfaces);
  const fields = Object.keys(changes) as Field[];
  const body = { vmid: vm.vmid, revision: base.revision, ...bodyOf(changes) };
  const fail = (error: unknown) => {
    if (error instanceof ApiError && error.code === OLD_REVISION) onStale();
    else {
      const { field, request } = error instanceof ApiError ? error : {};
      onRefused({ field, request, message: messageOf(error) });
    }
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: asked once, when the dialog opens: nothing changes under it
  useEffect(() => {
    let there = true;
    plan("patch", "/v/vm", body).then(
      (answer) => there && setPlanned(answer),
      (error) => there && fail(error),
    );
    return () => {
      there = false;
    };
  }, []);
  const saveIt = async () => {
    setBusy(true);
    try {
      const { waiting, warnings } = await call("patch", "/v/vm", body);
      const later = waiting.length > 0 ? "Changes for the next start are listed at the top of the page." : undefined;
      showToast("success", `${changes.name ?? vm.name} changed`, later);
      for (const warning of warnings ?? []) showToast("warning", asSentence(warning, NAMES));
      onSaved();
    } catch (error) {
      setBusy(false);
      fail(error);
    }
  };
  const runs = vm.state !== "STOPPED";
  return (
    <Modal
      isOpen
      variant="medium"
      onClose={onClose}
      aria-labelledby="review-title"
      elementToFocus="#review-save:enabled, #review-no"
    >
      <ModalHeader title={<Sentence>{`Save these changes to ${vm.name}?`}</Sentence>} labelId="review-title" />
      <ModalBody>
        <Table role="table" variant="compact" aria-label="What changes" gridBreakPoint="grid-md">
          <Thead>
            <Tr>
              <Th>Setting</Th>
              <Th>From</Th>
              <Th>To</Th>
              <Th width={40}>Takes effect</Th>
            </Tr>
          </Thead>
          <Tbody>
            {fields.map((field) => (
              <Tr key={field}>
                <Td dataLabel="Setting">{titleOf(field)}</Td>
                <Td dataLabel="From" modifier="breakWord">
                  {words(field, (base as Settings)[field])}
                </Td>
                <Td dataLabel="To" modifier="breakWord">
                  {words(field, changes[field])}
                </Td>
                <Td dataLabel="Takes effect">{runs ? takesEffect(field, planned) : "at once"}</Td>
              </Tr>
            ))}
          </Tbody>
        </Table>
        {planned?.warnings?.map((warning) => (
          <Alert
            component="p"
            key={warning}
            isInline
            variant="warning"
            title={<Sentence>{asSentence(warning, NAMES)}</Sentence>}
            className="v-space-above"
          />
        ))}
        {planned && <Takes planned={planned} />}
        <SameAs
          cli={cliOf(vm, changes)}
          request={{ method: "patch", path: "/v/vm", body: { vmid: vm.vmid, ...bodyOf(changes, true) } }}
        />
      </ModalBody>
      <ModalFooter>
        <Button
          id="review-save"
          onClick={() => void saveIt()}
          isLoading={busy || !planned}
          isDisabled={busy || !planned}
        >
          {planned ? "Save" : "Checking with the server"}
        </Button>
        <Button variant="link" id="review-no" onClick={onClose}>
          Continue editing
        </Button>
      </ModalFooter>
    </Modal>
  );
}

/** As the server plans it for a VM that runs. */
function takesEffect(field: Field, planned: Plan | undefined): string {
  if (isAtOnce(field)) return "at once";
  if (!planned) return "";
  const step = planned.steps.find((one) => one.do === "change");
  if (step?.live?.includes(field)) return "at once";
  const why = step?.waits?.[field];
  return why ? `at the next start: ${inWords(why, NAMES)}` : "at the next start";
}

function Takes({ planned }: { planned: Plan }) {
  if (planned.consumes.length === 0) return null;
  return (
    <List isPlain className="v-space-above">
      {planned.consumes.map((one) => (
        <Taken key={one.gid} one={one} />
      ))}
    </List>
  );
}

/** A setting's value in words. */
function useWords(
  gid: number,
  interfaces: readonly Interface[],
): (field: Field, value: Settings[Field] | undefined) => string {
  const media = useAttachable(gid);
  return (field, value) => {
    if (field === "max_cpus" || field === "max_memory_mib") {
      if (!value) return "none";
    }
    if (field === "memory_mib" || field === "max_memory_mib") return mib(value as number);
    if (field === "cloud_init") return cloudInitWords(value as CloudInitDraft);
    if (value === undefined) return "no";
    if (typeof value === "boolean") return value ? "yes" : "no";
    if (!Array.isArray(value)) return String(value);
    if (value.length === 0) return "none";
    return value
      .map((one) => {
        if (typeof one === "string") return one;
        if ("mid" in one) {
          const name = media.find((it) => it.mid === one.mid)?.name ?? one.mid;
          const boot = one.boot ? `, boots as ${one.boot}` : "";
          return `${name} (${MODES[one.mode] ?? one.mode}${one.readonly ? ", read-only" : ""}${boot})`;
        }
        if ("type" in one) return nicText(one, interfaces);
        if ("host_port" in one) return forwardText(one);
        if (!("name" in one)) return MODES[one.mode];
        return `${one.name} ${one.width}×${one.height}`;
      })
      .join(", ");
  };
}
