/** One entry of the history as a sentence with links to what it is about. */
import { Fragment, useMemo } from "react";
import { Link } from "react-router";
import type { Entry } from "./paging";
import { type Names, sentence } from "./sentence";

export const isRefused = (entry: Entry): boolean => entry.status >= 400;

export const partsOf = (entry: Entry, names: Names) =>
  sentence({ operation: entry.operation, target: entry.target, gid: entry.gid, refused: isRefused(entry) }, names);

export function Happened({ entry, names }: { entry: Entry; names: Names }) {
  const parts = useMemo(() => partsOf(entry, names), [entry, names]);
  return (
    <span className="v-words">
      {parts.map((part, index) => {
        const key = index;
        if (typeof part === "string") return <Fragment key={key}>{part}</Fragment>;
        return part.to ? (
          <Link key={key} to={part.to}>
            <bdi>{part.name}</bdi>
          </Link>
        ) : (
          <bdi key={key}>{part.name}</bdi>
        );
      })}
    </span>
  );
}
