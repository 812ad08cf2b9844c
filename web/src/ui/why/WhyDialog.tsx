/** "May anna create VMs in web?": the decision, the groups where it was looked for, who could change it, and what if. */
import {
  Button,
  Form,
  FormGroup,
  FormSelect,
  FormSelectOption,
  FormSelectOptionGroup,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
} from "@patternfly/react-core";
import { useState } from "react";
import { useObjects } from "@/api/live";
import { session } from "@/api/session";
import { Choose } from "../Choose";
import { ROOT, useGroupPath } from "../groups";
import { SameAs } from "../SameAs";
import { Answered } from "./Answered";
import { bodyOf, OPERATIONS, operationOf, type Question, type Suppositions, whyLine } from "./question";

const ON = { group: "Group", vm: "VM", user: "On the user" };
const NONE: Suppositions = { granted: [], revoked: [] };
const MISREAD = /^(-|\d+$|group \d+$)/;

export default function WhyDialog({ question: first, onClose }: { question: Question; onClose: () => void }) {
  const [question, setQuestion] = useState<Question>({
    operation: first.vmid === undefined ? "create_vm" : "set_vm_state",
    ...first,
  });
  const [supposed, setSupposed] = useState<Suppositions>(NONE);
  const users = useObjects("user");
  const groups = useObjects("group");
  const vms = useObjects("vm");
  const path = useGroupPath();
  const me = session.present;
  const body = bodyOf(question, supposed);
  const target = operationOf(question.operation)?.on ?? "nothing";
  /** The group that is meant by now, also by a VM in it. */
  const near = question.gid ?? vms.find((one) => one.vmid === question.vmid)?.gid;
  const ask = (part: Partial<Question>) => {
    setQuestion({ ...question, ...part });
    setSupposed(NONE);
  };
  const person = (uid: number | undefined) =>
    uid === undefined || uid === me?.uid
      ? (me?.name ?? "")
      : (users.find((one) => one.uid === uid)?.name ?? `user ${uid}`);
  const sorted = [...users].sort((a, b) => a.name.localeCompare(b.name));
  const everyone =
    sorted.some((one) => one.uid === question.uid) || question.uid === undefined || question.uid === me?.uid
      ? sorted
      : [{ uid: question.uid, name: `user ${question.uid}` }, ...sorted];
  const who = everyone.filter((one) => one.uid !== me?.uid).map((one) => ({ value: String(one.uid), label: one.name }));
  const group = (gid: number) => path(gid);
  return (
    <Modal isOpen variant="medium" onClose={onClose} aria-labelledby="why-title" elementToFocus="#why-who">
      <ModalHeader
        title="Check access"
        labelId="why-title"
        description="The server decides as it would for a real request. Nothing is done."
      />
      <ModalBody>
        <Form onSubmit={(event) => event.preventDefault()}>
          <FormGroup label="User" fieldId="why-who">
            <Choose
              id="why-who"
              value={question.uid === undefined || question.uid === me?.uid ? "" : String(question.uid)}
              choices={[{ value: "", label: `${me?.name} (yourself)` }, ...who]}
              onChange={(uid) => {
                const { uid: _, ...rest } = question;
                setQuestion(uid === "" ? rest : { ...rest, uid: Number(uid) });
                setSupposed(NONE);
              }}
            />
          </FormGroup>
          <FormGroup label="Action" fieldId="why-what">
            <FormSelect
              id="why-what"
              value={question.operation ?? ""}
              onChange={(_event, operation) => ask({ operation, ...(near === undefined ? {} : { gid: near }) })}
            >
              {OPERATIONS.map((area) => (
                <FormSelectOptionGroup key={area.title} label={area.title}>
                  {area.operations.map((one) => (
                    <FormSelectOption key={one.name} value={one.name} label={`${one.title} (${one.name})`} />
                  ))}
                </FormSelectOptionGroup>
              ))}
            </FormSelect>
          </FormGroup>
          {target !== "nothing" && (
            <FormGroup label={ON[target]} fieldId="why-on">
              <Choose
                id="why-on"
                value={String(
                  (target === "group" ? question.gid : target === "vm" ? question.vmid : question.member) ?? "",
                )}
                choices={[
                  { value: "", label: target === "vm" ? "Choose a VM" : `Choose a ${target}`, disabled: true },
                  ...(target === "group"
                    ? [...groups].map((one) => ({ value: String(one.gid), label: path(one.gid) }))
                    : target === "vm"
                      ? vms.map((one) => ({ value: String(one.vmid), label: `${one.name} (${path(one.gid)})` }))
                      : sorted.map((one) => ({ value: String(one.uid), label: one.name }))
                  ).sort((a, b) => a.label.localeCompare(b.label, undefined, { numeric: true })),
                ]}
                onChange={(id) =>
                  ask({ [target === "group" ? "gid" : target === "vm" ? "vmid" : "member"]: Number(id) })
                }
              />
            </FormGroup>
          )}
          {body && (
            <>
              <Answered
                body={body}
                uid={question.uid ?? me?.uid ?? 0}
                name={person(question.uid)}
                supposed={supposed}
                onSuppose={setSupposed}
                onLeave={onClose}
              />
              <SameAs
                cli={whyLine(question, supposed, {
                  user: (uid) => (MISREAD.test(person(uid)) ? String(uid) : person(uid)),
                  group: (gid) => (gid === ROOT ? "/" : MISREAD.test(group(gid)) ? String(gid) : group(gid)),
                })}
                request={{ method: "post", path: "/u/why", body }}
              />
            </>
          )}
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button variant="secondary" onClick={onClose}>
          Close
        </Button>
      </ModalFooter>
    </Modal>
  );
}
