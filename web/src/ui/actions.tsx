/** Actions and their toasts: each shows at once that it was taken, then what became of it. */
import { Alert, AlertActionCloseButton, AlertGroup, Content, List, ListItem, Spinner } from "@patternfly/react-core";
import { useCallback } from "react";
import { ApiError, messageOf } from "@/api/http";
import { Signal, useSignal } from "@/api/signal";

export interface Toast {
  id: number;
  variant: "info" | "success" | "danger" | "warning";
  title: string;
  message?: string;
  request?: string;
  busy: boolean;
  /** One line for each of several things that failed. */
  failures?: readonly Failure[];
}

export interface Failure {
  name: string;
  message: string;
  request?: string;
}

export interface Action<T> {
  /** "Starting web" */
  pending: string;
  /** "web is RUNNING"; absent: nothing is said of success. */
  done?: string | ((result: T) => string);
  do: () => Promise<T>;
}

const toasts = new Signal<Toast[]>([]);
const SHOWN = 5000;
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
    if (!told.busy && told.variant === "success") setTimeout(() => dismiss(id), SHOWN);
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
      put({ id, variant: "success", title: done, busy: false });
      setTimeout(() => dismiss(id), SHOWN);
    }
    return true;
  } catch (error) {
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
    <AlertGroup isToast isLiveRegion aria-label="Results of your actions">
      {shown.map((toast) => (
        <Alert
          key={toast.id}
          component="p"
          variant={toast.variant}
          title={toast.title}
          customIcon={toast.busy ? <Spinner size="md" aria-label="in progress" /> : undefined}
          actionClose={toast.busy ? undefined : <AlertActionCloseButton onClose={() => dismiss(toast.id)} />}
        >
          {toast.message}
          {toast.failures && <Failures all={toast.failures} />}
          {toast.request && <Content component="small">Request {toast.request}</Content>}
        </Alert>
      ))}
    </AlertGroup>
  );
}

const MOST = 10;

function Failures({ all }: { all: readonly Failure[] }) {
  return (
    <List isPlain>
      {all.slice(0, MOST).map((one) => (
        <ListItem key={one.name}>
          <strong>{one.name}</strong>: {one.message}
          {one.request && <Content component="small">Request {one.request}</Content>}
        </ListItem>
      ))}
      {all.length > MOST && <ListItem>and {all.length - MOST} more</ListItem>}
    </List>
  );
}
