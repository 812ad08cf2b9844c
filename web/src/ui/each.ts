/** The same done to several things, one after the other: a failure keeps none of the others back. */
import { messageOf } from "@/api/call";
import { carryOut } from "./actions";
import { count } from "./format";

/** Whether all of it was done. Says in the end how many were, and why the others were not. */
export function each<T>(
  all: readonly T[],
  words: { doing: string; done: string; noun: string; name: (one: T) => string },
  work: (one: T) => Promise<unknown>,
): Promise<boolean> {
  const [only] = all;
  const what = all.length === 1 && only !== undefined ? words.name(only) : count(all.length, words.noun);
  return carryOut({
    doing: `${words.doing} ${what}`,
    done: `${what} ${all.length === 1 ? "is" : "are"} ${words.done}`,
    do: async () => {
      const failed: string[] = [];
      for (const one of all) {
        try {
          await work(one);
        } catch (error) {
          if (all.length === 1) throw error;
          failed.push(`${words.name(one)}: ${messageOf(error)}`);
        }
      }
      if (failed.length > 0)
        throw new Error(`${all.length - failed.length} of ${all.length} are ${words.done}. ${failed.join(" ")}`);
    },
  });
}
