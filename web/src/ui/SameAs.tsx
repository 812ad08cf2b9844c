/** The command line and the API call that do the same as a dialog, to copy. */
import { ClipboardCopy, ExpandableSection } from "@patternfly/react-core";
import { shell } from "./format";

export interface Request {
  method: "post" | "put" | "delete" | "patch";
  path: string;
  body: object;
  /** Headers of its own, and the file that is its body in place of `body`. */
  headers?: Record<string, string>;
  file?: string;
}

export function SameAs({
  cli,
  request,
  title = "The same from a terminal",
}: {
  cli?: string[];
  request: Request;
  title?: string;
}) {
  const curl = [
    "curl",
    "-X",
    request.method.toUpperCase(),
    "-H",
    "Authorization: Bearer $AUTHKEY",
    ...Object.entries(request.headers ?? {}).flatMap(([name, value]) => ["-H", `${name}: ${value}`]),
    ...(request.file === undefined ? ["-d", JSON.stringify(request.body)] : ["-T", request.file]),
    `${location.origin}${request.path}`,
  ];
  const line = curl.map((word) => (word.includes("$AUTHKEY") ? `"${word}"` : shell(word))).join(" ");
  return (
    <ExpandableSection toggleText={title} className="v-same">
      {cli && (
        <ClipboardCopy
          isReadOnly
          isCode
          variant="inline-compact"
          hoverTip="Copy"
          clickTip="Copied"
          aria-label="Command line"
        >
          {cli.map(shell).join(" ")}
        </ClipboardCopy>
      )}
      <ClipboardCopy isReadOnly isCode variant="inline-compact" hoverTip="Copy" clickTip="Copied" aria-label="API call">
        {line}
      </ClipboardCopy>
    </ExpandableSection>
  );
}
