/** The wizard's buttons with their answer. The step is in the address, so that the browser's Back leads to the one before. */
import { Alert, Button, useWizardContext, WizardFooterWrapper } from "@patternfly/react-core";
import { useEffect, useRef, useState } from "react";
import { useSearchParams } from "react-router";
import { incomplete, type Refusal, RefusalAlert, tooLarge } from "@/ui/RefusalAlert";

export type StepName = "image" | "settings" | "plan";
export const STEPS: readonly StepName[] = ["image", "settings", "plan"];
const PARAM = "step";

/** As the browser has it: what the router shows comes a moment later. */
function stepInAddress(): StepName {
  const asked = new URLSearchParams(location.search).get(PARAM);
  return STEPS.find((one) => one === asked) ?? "image";
}

export function useStepAddress() {
  const [, ask] = useSearchParams();
  return {
    set: (step: string | number, replace = false) =>
      ask(step === "image" ? {} : { [PARAM]: String(step) }, { replace }),
  };
}

export function WizardFoot({
  missing,
  lacksRoom,
  open,
  verb,
  refused,
  onExecute,
}: {
  /** What each step lacks before one can go on; absent: nothing. */
  missing: Partial<Record<StepName, string>>;
  /** All is filled in, but there is not the room for it. */
  lacksRoom: boolean;
  /** The steps that can be gone to as things stand. */
  open: (step: StepName) => boolean;
  verb: string;
  /** What the server would refuse, and is no field's. */
  refused: string | undefined;
  onExecute: () => void;
}) {
  const { activeStep, goToNextStep, goToPrevStep, goToStepById, close, mainWrapperRef } = useWizardContext();
  /** Where the address led when the wizard was opened, until one can be there. */
  const awaited = useRef<StepName | undefined>(stepInAddress());
  const [early, setEarly] = useState<Refusal>();
  const step = activeStep.id as StepName;
  const lacks = missing[step];
  useEffect(() => {
    const goTo = (to: StepName) => {
      if (!open(to)) return;
      awaited.current = undefined;
      goToStepById(to); // not asking which one is shown: this may be of a moment ago
    };
    if (awaited.current) goTo(awaited.current);
    const follow = () => goTo(stepInAddress());
    addEventListener("popstate", follow);
    return () => removeEventListener("popstate", follow);
  });
  /** Told in the step that it leads to. */
  const elsewhere = useRef<Refusal | undefined>(undefined);
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is mended is no longer told
  useEffect(() => {
    setEarly(elsewhere.current);
    elsewhere.current = undefined;
  }, [step, lacks]);
  const telling = (words = "") => (lacksRoom && !missing.image ? tooLarge : incomplete)(words);
  const next = () => {
    awaited.current = undefined;
    const first = STEPS.find((one) => missing[one]);
    if (lacks && first && first !== step) {
      elsewhere.current = telling(missing[first]);
      void goToStepById(first);
    } else if (lacks) setEarly(telling(lacks));
    else if (step === "plan") onExecute();
    else void goToNextStep();
  };
  useEffect(() => {
    // Enter in a field
    const form = mainWrapperRef.current?.querySelector("form");
    if (!form) return;
    const submit = (event: SubmitEvent) => {
      event.preventDefault();
      next();
    };
    form.addEventListener("submit", submit);
    return () => form.removeEventListener("submit", submit);
  });
  return (
    <WizardFooterWrapper className="v-create-foot">
      <RefusalAlert refusal={early} form={mainWrapperRef} />
      {!early && refused && step !== "image" && (
        <Alert component="p" isInline variant="danger" title="The server would refuse this" className="v-refusal">
          {refused}
        </Alert>
      )}
      <Button variant="secondary" onClick={() => void goToPrevStep()} isDisabled={step === "image"}>
        Back
      </Button>
      <Button onClick={next}>{step === "plan" ? verb : "Next"}</Button>
      <Button variant="link" onClick={close}>
        Cancel
      </Button>
    </WizardFooterWrapper>
  );
}
