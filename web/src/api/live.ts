/** What is there, live: the event stream's snapshot, and every change after it. The page never polls. */
import { useMemo, useSyncExternalStore } from "react";
import { Feed } from "./feed";
import { type Change, type Group, Held, type Item, KEY, type Key, type Kind, NOTHING, type Pool } from "./objects";
import type { Changed, Snapshot } from "./schema";
import { session } from "./session";
import { Signal, useSignal } from "./signal";
import { type News, RETRY, type Told } from "./stream";

export type { Group, Kind, Medium, Pool, User, Vm } from "./objects";

/** `connecting` at first, `live`, or `lost`: what is shown may be old. */
export type Connection = "connecting" | "live" | "lost";
/** What is not in the stream, but is told to have changed. */
export type Topic = Changed["kind"];

/** Milliseconds between two repaints while one change follows the other: what comes in between waits for the next. */
const BREATH = 80;

class Live {
  readonly connection = new Signal<Connection>("connecting");
  /** Whether what is there has come: before that an empty list says nothing. */
  readonly ready = new Signal(false);
  readonly pools = new Signal<Pool[]>([]);
  /** Whether the caller may list users. */
  readonly knowsUsers = new Signal(false);
  readonly feed = new Feed((news) => this.take(news));
  private held = new Held(NOTHING);
  private lists: { [K in Kind]?: Item<K>[] } = {};
  private readonly watchers = new Map<Kind, Set<() => void>>();
  private readonly topics = new Map<Topic, Set<(gid?: number) => void>>();
  private readonly dirty = new Set<Kind>();
  private pending = false;
  private shown = Number.NEGATIVE_INFINITY;
  private looking = false;

  open(): void {
    const uid = session.present?.uid;
    if (uid !== undefined) this.feed.join(uid);
  }

  close(): void {
    this.feed.leave();
  }

  list<K extends Kind>(kind: K): Item<K>[] {
    this.lists[kind] ??= [...this.held.objects[kind].values()] as never;
    return this.lists[kind] as Item<K>[];
  }

  get<K extends Kind>(kind: K, id: Key<K>): Item<K> | undefined {
    return (this.held.objects[kind] as Map<Key<K>, Item<K>>).get(id);
  }

  watch(kind: Kind, watcher: () => void): () => void {
    const watchers = this.watchers.get(kind) ?? new Set();
    this.watchers.set(kind, watchers.add(watcher));
    return () => watchers.delete(watcher);
  }

  /** Be told when something that is not in the stream has changed. */
  hear(topic: Topic, listener: (gid?: number) => void): () => void {
    const listeners = this.topics.get(topic) ?? new Set();
    this.topics.set(topic, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  private take(news: News): void {
    if (news.is === "look") void this.look();
    else if (news.is === "connection") this.connection.set(news.connection);
    else this.told(news.event, JSON.parse(news.data));
  }

  private told(event: Told, data: unknown): void {
    if (event === "snapshot") this.start(data as Snapshot);
    else if (event === "changed") {
      const { kind, gid } = data as Changed;
      for (const hear of this.topics.get(kind) ?? []) hear(gid);
    } else {
      const change = data as Change;
      this.held.take(change);
      this.touch(change.kind);
    }
  }

  private start(snapshot: Snapshot): void {
    if (snapshot.me.uid !== session.present?.uid) {
      void this.look();
      return;
    }
    this.held = new Held(snapshot);
    this.pools.set(snapshot.pools);
    this.knowsUsers.set(snapshot.users !== undefined);
    this.ready.set(true);
    this.connection.set("live");
    for (const kind of Object.keys(KEY) as Kind[]) this.touch(kind);
  }

  /** Many changes at once are one repaint; a change after some quiet is shown at once. */
  private touch(kind: Kind): void {
    this.dirty.add(kind);
    if (this.pending) return;
    this.pending = true;
    const wait = this.shown + BREATH - performance.now();
    if (wait > 0) setTimeout(() => this.show(), wait);
    else queueMicrotask(() => this.show());
  }

  private show(): void {
    this.pending = false;
    this.shown = performance.now();
    const dirty = [...this.dirty];
    this.dirty.clear();
    for (const kind of dirty) {
      delete this.lists[kind];
      for (const watcher of this.watchers.get(kind) ?? []) watcher();
    }
  }

  /** Whose session it is; one that has ended is waited for until somebody has signed in again. Then go on. */
  private async look(): Promise<void> {
    if (this.looking) return;
    this.looking = true;
    try {
      await session.look();
      if (session.state.value.is === "again") await session.ended();
      this.open();
    } catch {
      this.connection.set("lost");
      setTimeout(() => void this.look(), RETRY);
    } finally {
      this.looking = false;
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
