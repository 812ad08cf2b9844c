/** Lines for a terminal, with a button that copies them. */
import type { ReactNode } from "react";
import { CopyButton } from "./CopyButton";

interface Props {
  /** What they are, for a screen reader: "Command lines". */
  label: string;
  text: string;
  /** More that can be done with them. */
  children?: ReactNode;
}

export function Code({ label, text, children }: Props) {
  return (
    <div className="v-code">
      {/* biome-ignore lint/a11y/useSemanticElements: a fieldset is for fields */}
      <pre role="group" aria-label={label}>
        {text}
      </pre>
      <span className="v-code-actions">
        {children}
        <CopyButton text={text} name={label.toLowerCase()} />
      </span>
    </div>
  );
}
