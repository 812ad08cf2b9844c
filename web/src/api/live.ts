/** What is there, live: the event stream's snapshot, and every change after it. The page never polls. */
import { useMemo, useSyncExternalStore } from "react";
import type { Content, Display, MediumInfo, Reason, State, TaskInfo } from "./schema";
import { session } from "./session";
import { Signal, useSignal } from "./signal";

export interface Vm {
  vmid: number;
  gid: number;
  name: string;
  cpus: number;
  memory_mib: number;
  state: State;
  wanted: State;
  autostart: boolean;
  displays: Display[];
  media: string[];
  nics: string[];
  waiting: string[];
  reason?: Reason;
  stopping_since?: number;
  unreachable_since?: number;
  revision: string;
}

export interface Holder {
  vmid: number;
  name: string;
  writing: boolean;
}

export type Medium = Omit<MediumInfo, "used_by"> & { gid: number; used_by: Holder[]; content?: Content };

export interface Group {
  gid: number;
  parent_gid: number;
  name: string;
  /** The permissions that the caller has there, inherited ones included. */
  permissions: string[];
}

export interface User {
  uid: number;
  name: string;
}

export interface Pool {
  mpid: number;
  name: string;
}

interface Objects {
  vm: Map<number, Vm>;
  medium: Map<string, Medium>;
  group: Map<number, Group>;
  task: Map<number, TaskInfo>;
  user: Map<number, User>;
}
export type Kind = keyof Objects;
type Item<K extends Kind> = Objects[K] extends Map<unknown, infer V> ? V : never;
type Key<K extends Kind> = Objects[K] extends Map<infer I, unknown> ? I : never;

const KEY: { [K in Kind]: (object: Item<K>) => Key<K> } = {
  vm: (one) => one.vmid,
  medium: (one) => one.mid,
  group: (one) => one.gid,
  task: (one) => one.tid,
  user: (one) => one.uid,
};

interface Snapshot {
  me: User;
  vms: Vm[];
  media: Medium[];
  groups: Group[];
  tasks: TaskInfo[];
  users?: User[];
  pools: Pool[];
}

/** `connecting` at first, `live`, or `lost`: what is shown may be old. */
export type Connection = "connecting" | "live" | "lost";
/** What is not in the stream, but is told to have changed. */
export type Topic = "trash" | "quota" | "pool" | "history" | "session";

const RETRY = 1500;
/** Milliseconds between two repaints while one change follows the other: what comes in between waits for the next. */
const BREATH = 80;

class Live {
  readonly connection = new Signal<Connection>("connecting");
  /** Whether what is there has come: before that an empty list says nothing. */
  readonly ready = new Signal(false);
  readonly pools = new Signal<Pool[]>([]);
  /** Whether the caller may list users. */
  readonly knowsUsers = new Signal(false);
  private objects: Objects = { vm: new Map(), medium: new Map(), group: new Map(), task: new Map(), user: new Map() };
  private lists: { [K in Kind]?: Item<K>[] } = {};
  private readonly watchers = new Map<Kind, Set<() => void>>();
  private readonly topics = new Map<Topic, Set<(gid?: number) => void>>();
  private readonly dirty = new Set<Kind>();
  private pending = false;
  private shown = Number.NEGATIVE_INFINITY;
  private source: EventSource | undefined;
  private last = "";
  private retry: ReturnType<typeof setTimeout> | undefined;

  open(): void {
    this.source?.close();
    clearTimeout(this.retry);
    const source = new EventSource(`/v/events${this.last ? `?last=${encodeURIComponent(this.last)}` : ""}`);
    this.source = source;
    source.addEventListener("open", () => this.connection.set("live"));
    source.addEventListener("snapshot", (event) => this.start(this.read(event) as Snapshot));
    source.addEventListener("set", (event) => {
      const { kind, object } = this.read(event) as { kind: Kind; object: never };
      this.objects[kind].set(KEY[kind](object) as never, object);
      this.touch(kind);
    });
    source.addEventListener("gone", (event) => {
      const { kind, id } = this.read(event) as { kind: Kind; id: never };
      this.objects[kind].delete(id);
      this.touch(kind);
    });
    source.addEventListener("changed", (event) => {
      const { kind, gid } = this.read(event) as { kind: Topic; gid?: number };
      for (const hear of this.topics.get(kind) ?? []) hear(gid);
    });
    source.addEventListener("bye", () => this.again());
    source.addEventListener("error", () => this.again());
  }

  close(): void {
    clearTimeout(this.retry);
    this.source?.close();
    this.source = undefined;
  }

  list<K extends Kind>(kind: K): Item<K>[] {
    this.lists[kind] ??= [...this.objects[kind].values()] as never;
    return this.lists[kind] as Item<K>[];
  }

  get<K extends Kind>(kind: K, id: Key<K>): Item<K> | undefined {
    return (this.objects[kind] as Map<Key<K>, Item<K>>).get(id);
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

  private read(event: Event): unknown {
    const message = event as MessageEvent<string>;
    if (message.lastEventId) this.last = message.lastEventId;
    return JSON.parse(message.data);
  }

  private start(snapshot: Snapshot): void {
    const by = <K extends Kind>(kind: K, all: Item<K>[]) => new Map(all.map((one) => [KEY[kind](one), one]));
    this.objects = {
      vm: by("vm", snapshot.vms),
      medium: by("medium", snapshot.media),
      group: by("group", snapshot.groups),
      task: by("task", snapshot.tasks),
      user: by("user", snapshot.users ?? []),
    } as Objects;
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

  private again(): void {
    this.source?.close();
    clearTimeout(this.retry);
    this.connection.set("lost");
    this.retry = setTimeout(async () => {
      try {
        await session.look();
        if (session.state.value.is === "again") await session.ended();
        this.open();
      } catch {
        this.again();
      }
    }, RETRY);
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

type May = (permission: string, gid: number) => boolean;
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
