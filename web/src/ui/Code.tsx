/** Command lines, with a button that copies them. */
import type { ReactNode } from "react";
import { CopyButton } from "./CopyButton";

interface Props {
  /** A label for screen readers: "Command lines". */
  label: string;
  text: string;
  /** Further actions. */
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
