/** Asks before something comes back from the trash, with what that takes, or leaves it for good. */
import { Content } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import { ApiError } from "@/api/http";
import type { TrashItem } from "@/api/schema";
import { runAction } from "@/ui/actions";
import { Confirm } from "@/ui/Confirm";
import { count } from "@/ui/format";
import { PlanSummary, usePlan } from "@/ui/PlanSummary";
import { comesStopped, restore } from "@/ui/restore";
import { idWord } from "@/ui/vmCli";
import { AnotherHost } from "./AnotherHost";

export interface TrashRequest {
  verb: "restore" | "purge";
  items: TrashItem[];
  title?: string;
  /** These are all that there are. */
  all?: boolean;
  after?: () => void;
}

const WORDS = {
  restore: { ask: "Restore", title: (what: string) => `Restore ${what}?`, method: "put", cli: "restore" },
  purge: {
    ask: "Delete permanently",
    title: (what: string) => `Delete ${what} permanently?`,
    method: "delete",
    cli: "rm",
  },
} as const;

const purge = (item: TrashItem) =>
  runAction({
    pending: `Deleting ${item.name}`,
    done: `${item.name} deleted permanently`,
    do: () => call("delete", "/t/trash", { trid: item.trid }),
  });

/** By one task, which goes on when the page is closed. */
const empty = (items: readonly TrashItem[]) =>
  runAction({
    pending: `Starting to delete ${count(items.length, "item")}`,
    done: `${count(items.length, "item")} being deleted`,
    task: ({ tid }) => tid,
    do: () => call("delete", "/t/trash/all", { trids: items.map((item) => item.trid) }),
  });

export function TrashDialog({ asked, onClose }: { asked: TrashRequest; onClose: () => void }) {
  const { verb, items, after } = asked;
  const words = WORDS[verb];
  const [host, setHost] = useState("");
  const [first] = items;
  const only = items.length === 1;
  const there = host ? { host: Number(host) } : {};
  const request = { method: words.method, path: "/t/trash", body: { trid: first?.trid ?? 0, ...there } };
  const { error } = usePlan(first && only ? request : undefined);
  const isHomeless = verb === "restore" && (host !== "" || (error instanceof ApiError && error.field === "host"));
  if (!first) return null;
  const stopped = comesStopped(items);
  const together = verb === "purge" && !only;
  const shown = together
    ? { method: "delete" as const, path: "/t/trash/all", body: { trids: items.map((item) => item.trid) } }
    : only
      ? request
      : { ...request, body: { trid: "NUMBER" } };
  const confirm = async () => {
    const done = await (verb === "restore" ? restore(items, there.host) : only ? purge(first) : empty(items));
    if (done || !only) after?.();
    return done || !only;
  };
  return (
    <Confirm
      title={asked.title ?? words.title(only ? first.name : count(items.length, "item"))}
      verb={words.ask}
      danger={verb === "purge"}
      cli={
        together
          ? asked.all
            ? ["velocity", "trash", "empty"]
            : undefined
          : [
              ...["velocity", "trash", words.cli, only ? idWord(first.trid) : "NUMBER"],
              ...(host ? ["--host", idWord(Number(host))] : []),
            ]
      }
      request={shown}
      disabled={isHomeless && host === ""}
      onConfirm={confirm}
      onClose={onClose}
    >
      {verb === "purge" && (
        <Content component="p">
          {only ? "It cannot" : `These ${items.length} items cannot`} be restored after that.
        </Content>
      )}
      {verb === "restore" && stopped && <Content component="p">{stopped}</Content>}
      {isHomeless && <AnotherHost host={host} onHost={setHost} />}
      {only ? (
        isHomeless && host === "" ? null : (
          <PlanSummary change={request} />
        )
      ) : (
        <Content component="p">
          {together
            ? `${names(items)}.`
            : `One after the other: ${names(items)}. On the command line each is one call, with its number (${numbers(items)}).`}
        </Content>
      )}
    </Confirm>
  );
}

const SOME = 12;

const numbers = (items: readonly TrashItem[]): string => items.map((item) => item.trid).join(", ");

function names(items: readonly TrashItem[]): string {
  const some = items.slice(0, SOME).map((item) => item.name);
  return items.length > SOME ? `${some.join(", ")} and ${items.length - SOME} more` : some.join(", ");
}
