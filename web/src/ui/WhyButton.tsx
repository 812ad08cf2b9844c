/** A button that asks why somebody may do something; its dialog is loaded when it is opened. */
import { Button, type ButtonProps } from "@patternfly/react-core";
import { Suspense, useState } from "react";
import { DialogBoundary } from "./ErrorBoundary";
import { part } from "./part";
import type { Question } from "./why/question";

const WhyDialog = part(() => import("./why/WhyDialog"));

export function WhyButton({
  question,
  label = "Why?",
  name,
  variant = "link",
  icon,
}: {
  /** The initial question, which can be changed. With an operation, it is asked at once. */
  question: Question;
  label?: string;
  /** What the question is about, for screen readers. */
  name?: string;
  variant?: ButtonProps["variant"];
  icon?: ButtonProps["icon"];
}) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button
        variant={variant}
        icon={icon}
        isInline={variant === "link"}
        onClick={() => setOpen(true)}
        aria-label={name === undefined ? undefined : `${label}: ${name}`}
      >
        {label}
      </Button>
      {open && (
        <DialogBoundary onClose={() => setOpen(false)}>
          <Suspense fallback={null}>
            <WhyDialog question={question} onClose={() => setOpen(false)} />
          </Suspense>
        </DialogBoundary>
      )}
    </>
  );
}
