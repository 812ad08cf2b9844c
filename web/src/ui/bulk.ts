/** Does the same with one or many things, a few at a time: one toast shows progress, and failures by name. */
import { ApiError, messageOf } from "@/api/http";
import { type Failure, type Offer, toast } from "./actions";
import { someAtOnce } from "./atOnce";
import { count } from "./format";

/** At a time. The server accepts more; browsers have six connections. */
const AT_ONCE = 4;
/** Milliseconds between two updates of the toast. */
const RENDER_INTERVAL_MS = 200;

export interface Bulk<T> {
  /** "Starting" */
  pending: string;
  /** "started", as in "3 VMs: started" */
  done: string;
  noun: string;
  nouns?: string;
  name: (one: T) => string;
  do: (one: T) => Promise<unknown>;
  /** In order: later ones need earlier ones. */
  inOrder?: boolean;
  /** Shown once everything is done: what one should know, and may want next. */
  message?: string | undefined;
  offer?: Offer | undefined;
}

/** Whether everything was done. */
export async function runBulk<T>(all: readonly T[], bulk: Bulk<T>): Promise<boolean> {
  const tell = toast();
  const [only] = all;
  const what = all.length === 1 && only !== undefined ? bulk.name(only) : count(all.length, bulk.noun, bulk.nouns);
  let told = 0;
  const progress = (done: number) => {
    if (done > 0 && performance.now() - told < RENDER_INTERVAL_MS) return;
    told = performance.now();
    const far = all.length === 1 ? "" : `: ${done} of ${all.length}`;
    tell({ variant: "info", title: `${bulk.pending} ${what}${far}`, busy: true });
  };
  progress(0);
  const failed = await someAtOnce(all, bulk.inOrder ? 1 : AT_ONCE, bulk.do, progress);
  const failures = failed.map(
    ([one, error]): Failure => ({
      name: bulk.name(one),
      message: messageOf(error),
      request: error instanceof ApiError ? error.request : undefined,
    }),
  );
  if (failures.length === 0)
    tell({ variant: "success", title: `${what} ${bulk.done}`, message: bulk.message, busy: false, offer: bulk.offer });
  else
    tell({
      variant: "danger",
      title: `${all.length === 1 ? "" : `${failures.length.toLocaleString()} of `}${what} could not be ${bulk.done}`,
      busy: false,
      failures,
    });
  return failures.length === 0;
}
