/** What became of a request: a quiet word where it was done, and why where it was not. */
import { Tooltip } from "@patternfly/react-core";
import { CopyButton } from "@/ui/CopyButton";
import { Status, Tag } from "@/ui/labels";
import type { Line } from "./folded";
import { Happened, isRefused, whyRefused } from "./Happened";
import type { Names } from "./sentence";

export function Outcome({ entry }: { entry: Line }) {
  if (!isRefused(entry)) return <span className="v-subtle">Done</span>;
  return (
    <Tooltip content={`Status ${entry.status}, code ${entry.code ?? entry.status}`}>
      <span>
        <Status tone="bad">{entry.status >= 500 ? "Failed" : "Refused"}</Status>
      </span>
    </Tooltip>
  );
}

/** From where it was asked: what the server does by itself, as the last step of a clone, nobody asks for. */
export function From({ entry }: { entry: Line }) {
  return entry.address ? entry.address : <span className="v-subtle">the server</span>;
}

/** The sentence, with the reason below it where it was refused. */
export function What({ entry, names }: { entry: Line; names: Names }) {
  if (!isRefused(entry)) return <Happened entry={entry} names={names} />;
  return (
    <div>
      <Happened entry={entry} names={names} /> {entry.times !== undefined && <Tag>{entry.times} times</Tag>}
      <span className="v-request v-why-not">{whyRefused(entry, names)}</span>
      <small className="v-request v-subtle">
        Request <RequestId id={entry.request} />
      </small>
    </div>
  );
}

/** To quote when one asks why. */
export function RequestId({ id }: { id: string }) {
  return (
    <span className="v-copied">
      <code>{id}</code>
      <CopyButton text={id} name={`request ${id}`} />
    </span>
  );
}
