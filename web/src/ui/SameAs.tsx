/** The command and the API call that do the same as a dialog, for copying. */
import { ExpandableSection } from "@patternfly/react-core";
import { at } from "@/api/base";
import { Code } from "./Code";
import { shell } from "./format";

export interface Request {
  method: "post" | "put" | "delete" | "patch";
  path: string;
  body: object;
  /** Its headers, and the file that is its body instead of `body`. */
  headers?: Record<string, string>;
  file?: string;
}

/** One or several commands and calls, in order. */
export function SameAs({
  cli,
  request,
  title = "The same from the command line",
  about,
}: {
  cli?: string[] | string[][];
  request: Request | Request[];
  title?: string;
  /** What is to be known of them. */
  about?: string | undefined;
}) {
  const lines = (cli ?? []).length === 0 || Array.isArray(cli?.[0]) ? ((cli ?? []) as string[][]) : [cli as string[]];
  const requests = Array.isArray(request) ? request : [request];
  return (
    <ExpandableSection toggleText={title} className="v-same">
      {about && <p className="v-subtle">{about}</p>}
      {lines.map((line) => (
        <Code key={line.join(" ")} label="Command line" text={line.map(shell).join(" ")} />
      ))}
      {requests.map((one) => (
        <Code key={curl(one)} label="API call" text={curl(one)} />
      ))}
    </ExpandableSection>
  );
}

function curl(request: Request): string {
  const words = [
    "curl",
    "-X",
    request.method.toUpperCase(),
    "-H",
    "Authorization: Bearer $AUTHKEY",
    ...Object.entries(request.headers ?? {}).flatMap(([name, value]) => ["-H", `${name}: ${value}`]),
    ...(request.file === undefined ? ["-d", JSON.stringify(request.body)] : ["-T", request.file]),
    `${location.origin}${at(request.path)}`,
  ];
  return words.map((word) => (word.includes("$AUTHKEY") ? `"${word}"` : shell(word))).join(" ");
}
