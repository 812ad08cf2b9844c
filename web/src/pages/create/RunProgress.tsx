/** How far the plan is carried out; after a failure: what was made, and how to go on or undo it. */

import {
  Alert,
  Button,
  Content,
  Flex,
  List,
  ListItem,
  ProgressStep,
  type ProgressStepProps,
  ProgressStepper,
  Title,
} from "@patternfly/react-core";
import { ApiError, messageOf } from "@/api/http";
import { useMay } from "@/api/live";
import { runAction } from "@/ui/actions";
import { LinkButton } from "@/ui/LinkButton";
import { Sentence } from "@/ui/Sentence";
import { NAMES } from "@/ui/texts/names";
import { asSentence } from "@/ui/texts/words";
import type { Draft } from "./draft";
import type { Run, RunStep, StepId } from "./run";

const VARIANT: Record<RunStep["state"], ProgressStepProps["variant"]> = {
  todo: "pending",
  running: "info",
  done: "success",
  failed: "danger",
};

export function RunProgress({
  draft,
  run,
  onAgain,
  onBack,
  undo,
}: {
  draft: Draft;
  run: Run;
  onAgain: () => void;
  onBack: () => void;
  undo: () => Promise<void>;
}) {
  const may = useMay();
  const words: Record<StepId, string> = {
    upload: "Upload the image",
    fetch: "Fetch the image",
    disk: `Create the disk ${draft.diskName}`,
    grow: `Grow ${draft.diskName} to ${draft.grownSize.trim()}`,
    vm: `Create the VM ${draft.name}`,
    start: `Start ${draft.name}`,
  };
  const made = [
    run.disk !== undefined && `the disk ${draft.diskName}`,
    run.vmid !== undefined && `the VM ${draft.name}`,
  ].filter(Boolean);
  const mayUndo =
    (run.vmid === undefined || may("vm.remove", draft.gid)) &&
    (run.disk === undefined || may("media.remove", draft.gid));
  return (
    <>
      <Title headingLevel="h2">{run.is === "failed" ? "A step has failed" : `Creating ${draft.name}`}</Title>
      <div role="status" className="v-space-above">
        <ProgressStepper isVertical aria-label="Steps">
          {run.steps.map((one) => (
            <ProgressStep
              key={one.id}
              id={`step-${one.id}`}
              titleId={`step-title-${one.id}`}
              variant={VARIANT[one.state]}
              isCurrent={one.state === "running"}
              description={one.note}
              aria-label={`${words[one.id]}: ${STATE_TEXT[one.state]}`}
            >
              {words[one.id]}
            </ProgressStep>
          ))}
        </ProgressStepper>
      </div>
      {run.warnings.map((warning) => (
        <Alert key={warning} isInline variant="warning" title={<Sentence>{asSentence(warning, NAMES)}</Sentence>} />
      ))}
      {run.is === "failed" && (
        <>
          <Alert
            isInline
            variant="danger"
            title={<Sentence>{messageOf(run.error)}</Sentence>}
            className="v-space-above"
          >
            {run.error instanceof ApiError && run.error.request && (
              <Content component="small">Request {run.error.request}</Content>
            )}
          </Alert>
          <Content component="p" className="v-space-above">
            {made.length > 0 ? "Created before that:" : "Nothing was created before that."}
          </Content>
          {made.length > 0 && (
            <List>
              {made.map((one) => (
                <ListItem key={String(one)}>{one}</ListItem>
              ))}
            </List>
          )}
          <Flex className="v-space-above" gap={{ default: "gapSm" }}>
            <Button onClick={onAgain}>Continue from there</Button>
            {run.vmid === undefined ? (
              <Button variant="secondary" onClick={onBack}>
                Change the settings
              </Button>
            ) : (
              <LinkButton variant="secondary" to={`/vms/${run.vmid}`}>
                Show the VM
              </LinkButton>
            )}
            {made.length > 0 && mayUndo && (
              <Button
                variant="danger"
                onClick={() =>
                  void runAction({ pending: `Removing ${made.join(" and ")}`, done: "Everything was undone", do: undo })
                }
              >
                Undo it
              </Button>
            )}
          </Flex>
        </>
      )}
    </>
  );
}

const STATE_TEXT: Record<RunStep["state"], string> = {
  todo: "pending",
  running: "in progress",
  done: "done",
  failed: "failed",
};
