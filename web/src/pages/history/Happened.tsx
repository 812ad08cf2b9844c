/** One entry of the history as a sentence with links to what it is about. */
import { Fragment, useMemo, useState } from "react";
import { Link } from "react-router";
import { refusalWords } from "@/ui/texts/words";
import type { Line } from "./folded";
import type { Entry } from "./paging";
import type { Folded, Part } from "./parts";
import { type Names, sentence } from "./sentence";

export const isRefused = (entry: Entry): boolean => entry.status >= 400;

export const partsOf = (entry: Line, names: Names) => sentence({ ...entry, refused: isRefused(entry) }, names);

/** Why it was refused, in the page's words. */
export const whyRefused = (entry: Entry, names: Names): string =>
  refusalWords(entry.code ?? entry.status, entry.message ?? "", names);

/** What the server notes where a link signs in, which it does for root alone. */
const LINK = "(a link)";

/** What the server does by itself. */
const OWN = new Set(["blocklist_node", "fence_node", "host_returned", "start_again", "thaw_guest", "unblock_node"]);

/** Who it was, where nobody was signed in. */
export function strangerOf(entry: Entry): string | undefined {
  if (entry.name === LINK) return isRefused(entry) ? "Someone with a link" : "root";
  if (entry.name) return entry.name;
  if (entry.operation === "join_node") return "A machine";
  return entry.uid === undefined && OWN.has(entry.operation) && !isRefused(entry) ? "The server" : undefined;
}

/** "You", or the name; where nobody was signed in yet, by the name that was given. */
export function whoOf(entry: Entry, names: Names): string | undefined {
  const isMe = entry.uid === undefined ? entry.name === names.myName && !isRefused(entry) : entry.uid === names.me;
  return isMe ? "You" : strangerOf(entry);
}

export function Happened({ entry, names }: { entry: Line; names: Names }) {
  const parts = useMemo(() => partsOf(entry, names), [entry, names]);
  return (
    <span className="v-words">
      <Parts parts={parts} />
    </span>
  );
}

function Parts({ parts }: { parts: readonly Part[] }) {
  return parts.map((part, index) => {
    const key = index;
    if (typeof part === "string") return <Fragment key={key}>{part}</Fragment>;
    if ("long" in part) return <Rest key={key} {...part} />;
    return part.to ? (
      <Link key={key} to={part.to}>
        <bdi>{part.name}</bdi>
      </Link>
    ) : (
      <bdi key={key}>{part.name}</bdi>
    );
  });
}

function Rest({ short, long }: Folded) {
  const [open, setOpen] = useState(false);
  if (open) return <Parts parts={long} />;
  return (
    <button type="button" className="v-link" onClick={() => setOpen(true)}>
      {short}
    </button>
  );
}
