/** What is there, live: the event stream's snapshot, and every change after it. The page never polls. */
import { useMemo, useSyncExternalStore } from "react";
import { Feed } from "./feed";
import { onLate } from "./http";
import {
  type Change,
  EMPTY_SNAPSHOT,
  type Group,
  type Item,
  KEY,
  type Key,
  type Kind,
  ObjectStore,
  type Pool,
} from "./objects";
import type { Changed, InitialState } from "./schema";
import { session } from "./session";
import { Signal, useSignal } from "./signal";
import { type Connection as Connected, type EventName, RETRY_MS, type StreamMessage } from "./stream";

export type { Group, Kind, Medium, Pool, User, Vm } from "./objects";

/** `connecting` at first; where it is `silent` or `lost`, what is shown may be old. */
export type Connection = "connecting" | Connected;
/** What is not in the stream, but is told to have changed. */
export type Topic = Changed["kind"];

/** Milliseconds between two repaints while one change follows the other: what comes in between waits for the next. */
const RENDER_INTERVAL_MS = 80;

class Live {
  readonly connection = new Signal<Connection>("connecting");
  /** Whether what is there has come: before that an empty list says nothing. */
  readonly ready = new Signal(false);
  readonly pools = new Signal<Pool[]>([]);
  /** Whether the caller may list users. */
  readonly knowsUsers = new Signal(false);
  readonly feed = new Feed((message) => this.receive(message));
  private store = new ObjectStore(EMPTY_SNAPSHOT);
  private lists: { [K in Kind]?: Item<K>[] } = {};
  private readonly watchers = new Map<Kind, Set<() => void>>();
  private readonly topics = new Map<Topic, Set<(gid?: number) => void>>();
  private readonly dirty = new Set<Kind>();
  private pending = false;
  private rendered = Number.NEGATIVE_INFINITY;
  private checking = false;

  open(): void {
    const uid = session.present?.uid;
    if (uid !== undefined) this.feed.join(uid);
    onLate(() => this.feed.check());
  }

  close(): void {
    this.feed.leave();
  }

  list<K extends Kind>(kind: K): Item<K>[] {
    this.lists[kind] ??= [...this.store.objects[kind].values()] as never;
    return this.lists[kind] as Item<K>[];
  }

  get<K extends Kind>(kind: K, id: Key<K>): Item<K> | undefined {
    return (this.store.objects[kind] as Map<Key<K>, Item<K>>).get(id);
  }

  watch(kind: Kind, watcher: () => void): () => void {
    const watchers = this.watchers.get(kind) ?? new Set();
    this.watchers.set(kind, watchers.add(watcher));
    return () => watchers.delete(watcher);
  }

  /** Call the listener when something that is not in the stream has changed. */
  subscribe(topic: Topic, listener: (gid?: number) => void): () => void {
    const listeners = this.topics.get(topic) ?? new Set();
    this.topics.set(topic, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  private receive(message: StreamMessage): void {
    if (message.is === "check session") void this.checkSession();
    else if (message.is === "connection") this.connection.set(message.connection);
    else this.dispatch(message.event, JSON.parse(message.data));
  }

  private dispatch(event: EventName, data: unknown): void {
    if (event === "snapshot") this.start(data as InitialState);
    else if (event === "changed") {
      const { kind, gid } = data as Changed;
      for (const listener of this.topics.get(kind) ?? []) listener(gid);
    } else {
      const change = data as Change;
      this.store.apply(change);
      this.markDirty(change.kind);
    }
  }

  private start(snapshot: InitialState): void {
    if (snapshot.me.uid !== session.present?.uid) {
      void this.checkSession();
      return;
    }
    this.store = new ObjectStore(snapshot);
    this.pools.set(snapshot.pools);
    this.knowsUsers.set(snapshot.users !== undefined);
    this.ready.set(true);
    this.connection.set("live");
    for (const kind of Object.keys(KEY) as Kind[]) this.markDirty(kind);
    // What had changed before it is not told again, of what is not in it.
    for (const listeners of this.topics.values()) for (const listener of listeners) listener();
  }

  /** Many changes at once are one repaint; a change after some quiet is shown at once. */
  private markDirty(kind: Kind): void {
    this.dirty.add(kind);
    if (this.pending) return;
    this.pending = true;
    const wait = this.rendered + RENDER_INTERVAL_MS - performance.now();
    if (wait > 0) setTimeout(() => this.render(), wait);
    else queueMicrotask(() => this.render());
  }

  private render(): void {
    this.pending = false;
    this.rendered = performance.now();
    const dirty = [...this.dirty];
    this.dirty.clear();
    for (const kind of dirty) {
      delete this.lists[kind];
      for (const watcher of this.watchers.get(kind) ?? []) watcher();
    }
  }

  /** Whose session it is; one that has ended is waited for until somebody has signed in again. Then go on. */
  private async checkSession(): Promise<void> {
    if (this.checking) return;
    this.checking = true;
    try {
      await session.look();
      if (session.state.value.is === "again") await session.ended();
      this.open();
    } catch {
      this.connection.set("lost");
      setTimeout(() => void this.checkSession(), RETRY_MS);
    } finally {
      this.checking = false;
    }
  }
}

export const live = new Live();

export function useObjects<K extends Kind>(kind: K): Item<K>[] {
  const watch = useMemo(() => (watcher: () => void) => live.watch(kind, watcher), [kind]);
  return useSyncExternalStore(watch, () => live.list(kind));
}

export function useObject<K extends Kind>(kind: K, id: Key<K>): Item<K> | undefined {
  const watch = useMemo(() => (watcher: () => void) => live.watch(kind, watcher), [kind]);
  return useSyncExternalStore(watch, () => live.get(kind, id));
}

export type May = (permission: string, gid: number) => boolean;
let decided: { groups: readonly Group[]; may: May } | undefined;

/** Whether the caller has a permission (named without `velocity.`) on a group. Each row of a table asks. */
export function useMay(): May {
  const groups = useObjects("group");
  if (decided?.groups !== groups) {
    const held = new Map(groups.map((group) => [group.gid, new Set(group.permissions)]));
    decided = { groups, may: (permission, gid) => held.get(gid)?.has(`velocity.${permission}`) ?? false };
  }
  return decided.may;
}

export const usePools = (): Pool[] => useSignal(live.pools);
export const useReady = (): boolean => useSignal(live.ready);
export const useConnection = (): Connection => useSignal(live.connection);
