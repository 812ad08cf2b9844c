/** Setting up a team: a group with its quota, pool and first member, by one form; the steps are shown before they are done. */
import { Button, Form, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import { useRef, useState } from "react";
import { call } from "@/api/call";
import { useAction } from "@/ui/actions";
import { useRefusal } from "@/ui/FormDialog";
import { ROOT, useGroupsWhere } from "@/ui/groups";
import { incomplete, RefusalAlert } from "@/ui/RefusalAlert";
import { readMembersAgain } from "../members";
import { ShownOnce } from "../ShownOnce";
import { TeamFields } from "./TeamFields";
import { Planned, type Progress, TeamReview, useTeamPlan } from "./TeamReview";
import { type Made, pathOf, stepsOf } from "./team";
import { useTeamForm } from "./useTeamForm";

export function TeamDialog({
  parent,
  onDone,
  onClose,
}: {
  parent: number | undefined;
  onDone: (gid: number) => void;
  onClose: () => void;
}) {
  const parents = useGroupsWhere("group.create");
  const [asked, setAsked] = useState(false);
  const state = useTeamForm(parent ?? parents[0]?.gid ?? ROOT, asked);
  const act = useAction();
  const refusal = useRefusal([]);
  const body = useRef<HTMLDivElement>(null);
  const [reviewing, setReviewing] = useState(false);
  const [progress, setProgress] = useState<Progress>({ done: new Set() });
  const [over, setOver] = useState(false);
  const made = useRef<Made>({});
  const [frozen, setFrozen] = useState(state.team);
  const team = reviewing ? frozen : state.team;
  const steps = stepsOf(team);
  const begun = progress.done.size > 0;
  const busy = progress.running !== undefined;
  const planned = useTeamPlan(reviewing && !begun && !busy ? team : undefined);
  const secret = team.member?.password;
  const close = () => {
    onClose();
    if (made.current.gid !== undefined) onDone(made.current.gid);
  };
  /** A password that was set is shown first, also where a later step has failed. */
  const leave = () => (secret && made.current.uid !== undefined ? setOver(true) : close());
  const execute = () =>
    act({
      pending: `Setting up ${pathOf(team)}`,
      done: `${pathOf(team)} set up`,
      do: async () => {
        refusal.clear();
        let done = progress.done;
        for (const step of steps.filter((one) => !done.has(one.key))) {
          setProgress({ done, running: step.key });
          try {
            await step.run(made.current, call);
          } catch (error) {
            setProgress({ done, failed: step.key });
            refusal.set(error);
            throw error;
          } finally {
            void readMembersAgain();
          }
          done = new Set([...done, step.key]);
        }
        setProgress({ done });
      },
    }).then((all) => {
      if (all) leave();
    });
  if (over && secret)
    return (
      <ShownOnce
        title={
          progress.failed ? `User ${team.member?.name} created` : `${pathOf(team)} set up, with ${team.member?.name}`
        }
        password={secret}
        onClose={close}
      />
    );
  return (
    <Modal isOpen variant="medium" onClose={busy ? undefined : leave} aria-labelledby="team-title">
      <ModalHeader
        title={reviewing ? `Set up ${pathOf(team)}` : "Set up a team"}
        labelId="team-title"
        description={
          reviewing
            ? "These steps will be carried out in this order."
            : "You will see the steps before anything is done."
        }
      />
      <ModalBody ref={body}>
        {reviewing ? (
          <>
            <TeamReview steps={steps} progress={progress} />
            {!begun && !busy && !progress.failed && <Planned {...planned} />}
          </>
        ) : (
          <Form
            id="team-form"
            className="v-team"
            onSubmit={(event) => {
              event.preventDefault();
              setAsked(true);
              if (!state.right) return refusal.tell(incomplete());
              refusal.clear();
              setFrozen(state.team);
              setReviewing(true);
            }}
          >
            <TeamFields state={state} />
          </Form>
        )}
      </ModalBody>
      <RefusalAlert
        refusal={reviewing || !state.right ? refusal.last : undefined}
        title={begun ? "A step failed; the steps before it are done and remain" : "The server refused it"}
        form={body}
      />
      <ModalFooter>
        {reviewing ? (
          <Button
            onClick={() => void execute()}
            isLoading={busy}
            isDisabled={busy || (!begun && !progress.failed && !planned.ready)}
          >
            {busy ? "Setting it up" : begun ? "Try the remaining steps again" : "Set it up"}
          </Button>
        ) : (
          <Button key="next" type="submit" form="team-form">
            Show the steps
          </Button>
        )}
        {reviewing && !begun && (
          <Button
            variant="secondary"
            isDisabled={busy}
            onClick={() => {
              setProgress({ done: new Set() });
              refusal.clear();
              setReviewing(false);
            }}
          >
            Back
          </Button>
        )}
        <Button variant="link" onClick={leave} isDisabled={busy}>
          {begun && !busy ? "Leave it as it is" : "Cancel"}
        </Button>
      </ModalFooter>
    </Modal>
  );
}
