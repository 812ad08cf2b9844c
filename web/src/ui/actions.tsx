/** Actions and their toasts: each shows at once that it was taken, then what became of it. */

import { useCallback, useEffect, useRef } from "react";
import { Link } from "react-router";
import { ApiError, messageOf } from "@/api/http";
import { useObjects, type Vm } from "@/api/live";
import { Signal, useSignal } from "@/api/signal";
import { Icon } from "@/look/Icon";
import { Sentence } from "./Sentence";

export interface Toast {
  id: number;
  variant: "info" | "success" | "danger" | "warning";
  title: string;
  message?: string | undefined;
  request?: string;
  busy: boolean;
  /** One line for each of several things that failed. */
  failures?: readonly Failure[];
  /** What one may want next. */
  offer?: Offer | undefined;
  /** The task that goes on with it. */
  task?: number | undefined;
  /** The VM that the task makes. */
  makes?: Wanted | undefined;
}

/** A VM that is not there yet. */
export type Wanted = Pick<Vm, "gid" | "name">;

/** A button in a toast: "Undo", "Start it". */
export interface Offer {
  title: string;
  do: () => void;
}

export interface Failure {
  name: string;
  message: string;
  request?: string;
}

export interface Action<T> {
  /** "Starting web" */
  pending: string;
  /** "web is running"; absent: nothing is said of success. */
  done?: string | ((result: T) => string);
  do: () => Promise<T>;
  /** What one may want next, once it was done. */
  offer?: Offer | undefined;
  /** The task that goes on with it after the answer; undefined: it is done. */
  task?: (result: T) => number | undefined;
  /** The VM that the task makes: the toast leads to it once it is there. */
  makes?: Wanted | undefined;
}

/** Failures that are shown where they were caused, and in no toast as well. */
export const shownElsewhere = new WeakSet<object>();

const toasts = new Signal<Toast[]>([]);
/** Milliseconds that a success is told for. */
const SHOWN = 4000;
/** The same, of one with something to press in it. */
const SHOWN_TO_PRESS = 10_000;
let last = 0;

function put(toast: Toast): void {
  const others = toasts.value.filter((one) => one.id !== toast.id);
  toasts.set([...others, toast].slice(-6));
}

function dismiss(id: number): void {
  toasts.set(toasts.value.filter((one) => one.id !== id));
}

export function showToast(variant: Toast["variant"], title: string, message?: string): void {
  const id = ++last;
  put({ id, variant, title, message, busy: false });
  if (variant !== "danger") setTimeout(() => dismiss(id), SHOWN);
}

/** A toast of one's own, which is shown anew each time that it is told; one that ends well goes by itself. */
export function toast(): (told: Omit<Toast, "id">) => void {
  const id = ++last;
  return (told) => {
    put({ ...told, id });
    if (!told.busy && told.variant === "success") setTimeout(() => dismiss(id), told.offer ? SHOWN_TO_PRESS : SHOWN);
  };
}

/** Whether it was done. What failed stays until it is closed, with the request's id to quote. */
export async function runAction<T>(action: Action<T>): Promise<boolean> {
  const id = ++last;
  put({ id, variant: "info", title: action.pending, busy: true });
  try {
    const result = await action.do();
    const done = typeof action.done === "function" ? action.done(result) : action.done;
    if (done === undefined) dismiss(id);
    else {
      const task = action.task?.(result);
      put({ id, variant: "success", title: done, busy: false, offer: action.offer, task, makes: action.makes });
      const shown = action.offer || task !== undefined ? SHOWN_TO_PRESS : SHOWN;
      if (!action.makes) setTimeout(() => dismiss(id), shown); // else it stays, and leads to what was made
    }
    return true;
  } catch (error) {
    if (error instanceof Error && shownElsewhere.has(error)) {
      dismiss(id);
      return false;
    }
    const request = error instanceof ApiError ? error.request : undefined;
    put({ id, variant: "danger", title: `${action.pending}: failed`, message: messageOf(error), request, busy: false });
    return false;
  }
}

export function useAction(): <T>(action: Action<T>) => Promise<boolean> {
  return useCallback((action) => runAction(action), []);
}

export function Toasts() {
  const shown = useSignal(toasts);
  return (
    <section className="v-toasts" aria-label="Results of your actions" aria-live="polite">
      {shown.map((toast) => (
        <div key={toast.id} className={`v-toast v-toast-${toast.busy ? "busy" : toast.variant}`}>
          <div>
            <Title toast={toast} />
            {toast.message && (
              <p className="v-subtle">
                <Sentence>{toast.message}</Sentence>
              </p>
            )}
            {toast.failures && <Failures all={toast.failures} />}
            {toast.offer && (
              <button
                type="button"
                className="v-link"
                onClick={() => {
                  dismiss(toast.id);
                  toast.offer?.do();
                }}
              >
                {toast.offer.title}
              </button>
            )}
            {toast.task !== undefined && <TaskLink toast={toast} />}
            {toast.request && <small className="v-subtle">Request {toast.request}</small>}
          </div>
          {!toast.busy && (
            <button
              type="button"
              className="v-plain"
              aria-label={`Close: ${toast.title}`}
              onClick={() => dismiss(toast.id)}
            >
              <Icon name="close" />
            </button>
          )}
        </div>
      ))}
    </section>
  );
}

/** The VM that a toast told was being made, once it is there. */
function useMade({ makes }: Toast): Vm | undefined {
  const vms = useObjects("vm");
  return makes && vms.find((one) => one.gid === makes.gid && one.name === makes.name);
}

function Title({ toast }: { toast: Toast }) {
  const made = useMade(toast);
  return (
    <p>
      <Sentence>{made ? `${made.name} created` : toast.title}</Sentence>
    </p>
  );
}

/** To the task, and to what it has made once that is there. */
function TaskLink({ toast }: { toast: Toast }) {
  const made = useMade(toast);
  const task = useObjects("task").find((one) => one.tid === toast.task)?.state;
  const failed = toast.makes && !made && (task === "FAILED" || task === "CANCELLED");
  const { id } = toast;
  const there = made !== undefined;
  const was = useRef(false);
  useEffect(() => {
    if (there) was.current = true;
    else if (was.current) dismiss(id); // deleted since, or renamed: it is not being made again
  }, [there, id]);
  useEffect(() => {
    if (failed) put({ ...toast, variant: "danger", title: `${toast.makes?.name} was not created`, makes: undefined });
  }, [failed, toast]);
  return (
    <Link className="v-link" to={made ? `/vms/${made.vmid}` : `/tasks?task=${toast.task}`} onClick={() => dismiss(id)}>
      {made ? <Sentence>{`Open ${made.name}`}</Sentence> : "Show the task"}
    </Link>
  );
}

const MOST = 10;

function Failures({ all }: { all: readonly Failure[] }) {
  return (
    <ul>
      {all.slice(0, MOST).map((one) => (
        <li key={one.name}>
          <strong>{one.name}</strong>: <Sentence>{one.message}</Sentence>
          {one.request && <small className="v-subtle"> Request {one.request}</small>}
        </li>
      ))}
      {all.length > MOST && <li>and {all.length - MOST} more</li>}
    </ul>
  );
}
