/** Asks before something comes back from the trash, with what that takes, or leaves it for good. */
import { Content } from "@patternfly/react-core";
import { call } from "@/api/call";
import type { TrashItem } from "@/api/schema";
import { runBulk } from "@/ui/bulk";
import { Confirm } from "@/ui/Confirm";
import { count } from "@/ui/format";
import { PlanSummary } from "@/ui/PlanSummary";
import { idWord } from "@/ui/vmCli";
import { order, type Verb } from "./order";

export interface TrashRequest {
  verb: Verb;
  items: TrashItem[];
  title?: string;
  after?: () => void;
}

const WORDS = {
  restore: { ask: "Restore", pending: "Restoring", done: "restored", method: "put", cli: "restore" },
  purge: { ask: "Remove permanently", pending: "Removing", done: "removed permanently", method: "delete", cli: "rm" },
} as const;

export function TrashDialog({ asked, onClose }: { asked: TrashRequest; onClose: () => void }) {
  const { verb, items, after } = asked;
  const words = WORDS[verb];
  const [first] = items;
  if (!first) return null;
  const only = items.length === 1;
  const request = { method: words.method, path: "/t/trash", body: { trid: first.trid } };
  const confirm = async () => {
    const done = await runBulk(order(items, verb), {
      pending: words.pending,
      done: words.done,
      noun: "item",
      name: (item) => item.name,
      do: (item) => call(words.method, "/t/trash", { trid: item.trid }),
      inOrder: true,
    });
    if (done || !only) after?.();
    return done || !only;
  };
  return (
    <Confirm
      title={asked.title ?? `${words.ask}: ${only ? first.name : count(items.length, "item")}?`}
      verb={words.ask}
      danger={verb === "purge"}
      cli={["velocity", "trash", words.cli, only ? idWord(first.trid) : "NUMBER"]}
      request={only ? request : { ...request, body: { trid: "NUMBER" } }}
      onConfirm={confirm}
      onClose={onClose}
    >
      {verb === "purge" && (
        <Content component="p">
          {only ? "It cannot" : `These ${items.length} items cannot`} be restored after that.
        </Content>
      )}
      {only ? (
        <PlanSummary change={request} />
      ) : (
        <Content component="p">
          {verb === "restore" ? "One after the other: " : ""}
          {names(items)}. From a terminal each is one call, with its number ({items.map((item) => item.trid).join(", ")}
          ).
        </Content>
      )}
    </Confirm>
  );
}

const SOME = 12;

function names(items: readonly TrashItem[]): string {
  const some = items.slice(0, SOME).map((item) => item.name);
  return items.length > SOME ? `${some.join(", ")} and ${items.length - SOME} more` : some.join(", ");
}
