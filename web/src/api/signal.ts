/** A value that components can watch (useSyncExternalStore). */
import { useSyncExternalStore } from "react";

export class Signal<T> {
  private readonly watchers = new Set<() => void>();

  constructor(private present: T) {}

  get value(): T {
    return this.present;
  }

  set(value: T): void {
    if (Object.is(value, this.present)) return;
    this.present = value;
    for (const watcher of this.watchers) watcher();
  }

  readonly watch = (watcher: () => void): (() => void) => {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  };
}

export function useSignal<T>(signal: Signal<T>): T {
  return useSyncExternalStore(signal.watch, () => signal.value);
}
