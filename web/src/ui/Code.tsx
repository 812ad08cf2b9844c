/** Command lines, with a button that copies them. */
import type { ReactNode } from "react";
import { CopyButton } from "./CopyButton";

/** An option, which stays in one line: "--url". */
const OPTION = /(?<!\S)(--[\w-]{1,24})(?!\S)/;

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
        {text.split(OPTION).map((part, index) =>
          index % 2 === 0 ? (
            part
          ) : (
            // biome-ignore lint/suspicious/noArrayIndexKey: parts of one text
            <span key={index} className="v-option">
              {part}
            </span>
          ),
        )}
      </pre>
      <span className="v-code-actions">
        {children}
        <CopyButton text={text} name={label.toLowerCase()} />
      </span>
    </div>
  );
}
