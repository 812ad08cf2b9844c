/** Asks before something comes back from the trash, with what that takes, or leaves it for good. */
import { Content } from "@patternfly/react-core";
import { call } from "@/api/call";
import type { TrashItem } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { Confirm } from "@/ui/Confirm";
import { count } from "@/ui/format";
import { PlanSummary } from "@/ui/PlanSummary";
import { order, type Verb } from "./order";

export interface Asked {
  verb: Verb;
  items: TrashItem[];
  title?: string;
  after?: () => void;
}

const WORDS = {
  restore: { ask: "Restore", doing: "Restoring", done: "restored", method: "put", cli: "restore" },
  purge: { ask: "Remove for good", doing: "Removing", done: "removed for good", method: "delete", cli: "rm" },
} as const;

export function TrashDialog({ asked, onClose }: { asked: Asked; onClose: () => void }) {
  const act = useAction();
  const { verb, items, after } = asked;
  const words = WORDS[verb];
  const [first] = items;
  const what = items.length === 1 && first ? first.name : count(items.length, "item");
  const one = async (item: TrashItem) => {
    await call(words.method, "/t/trash", { trid: item.trid });
  };
  /** One after the other, each with its own outcome: a failure keeps none of the others back. */
  const confirm = async () => {
    if (items.length === 1 && first) {
      const done = await act({
        doing: `${words.doing} ${what}`,
        done: `${what} is ${words.done}`,
        do: () => one(first),
      });
      if (done) after?.();
      return done;
    }
    const failed: string[] = [];
    await act({
      doing: `${words.doing} ${what}`,
      done: `${count(items.length, "item")} ${words.done}`,
      do: async () => {
        for (const item of order(items, verb)) {
          try {
            await one(item);
          } catch (error) {
            failed.push(`${item.name}: ${error instanceof Error ? error.message : String(error)}`);
          }
        }
        if (failed.length > 0)
          throw new Error(`${items.length - failed.length} of ${items.length} are ${words.done}. ${failed.join("; ")}`);
      },
    });
    after?.();
    return true;
  };
  return (
    <Confirm
      title={asked.title ?? `${words.ask}: ${what}?`}
      verb={words.ask}
      danger={verb === "purge"}
      cli={items.length === 1 && first ? ["velocity", "trash", words.cli, String(first.trid)] : undefined}
      request={
        items.length === 1 && first ? { method: words.method, path: "/t/trash", body: { trid: first.trid } } : undefined
      }
      onConfirm={confirm}
      onClose={onClose}
    >
      {verb === "purge" && (
        <Content component="p">
          {items.length === 1 ? "It cannot" : `These ${items.length} cannot`} be had back after that, by nobody.
        </Content>
      )}
      {items.length === 1 && first ? (
        <PlanSummary change={{ method: words.method, path: "/t/trash", body: { trid: first.trid } }} />
      ) : (
        <Content component="p">{names(items)}</Content>
      )}
    </Confirm>
  );
}

const SOME = 12;

function names(items: readonly TrashItem[]): string {
  const some = items.slice(0, SOME).map((item) => item.name);
  return items.length > SOME ? `${some.join(", ")} and ${items.length - SOME} more` : some.join(", ");
}
