/** What the stream of events tells of: its objects, and what one holds who has heard a snapshot and all that came after it. */
import type { Content, Display, MediumInfo, Reason, State, TaskInfo } from "./schema";

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

export interface Objects {
  vm: Map<number, Vm>;
  medium: Map<string, Medium>;
  group: Map<number, Group>;
  task: Map<number, TaskInfo>;
  user: Map<number, User>;
}
export type Kind = keyof Objects;
export type Item<K extends Kind> = Objects[K] extends Map<unknown, infer V> ? V : never;
export type Key<K extends Kind> = Objects[K] extends Map<infer I, unknown> ? I : never;

export const KEY: { [K in Kind]: (object: Item<K>) => Key<K> } = {
  vm: (one) => one.vmid,
  medium: (one) => one.mid,
  group: (one) => one.gid,
  task: (one) => one.tid,
  user: (one) => one.uid,
};

export interface Snapshot {
  me: User;
  vms: Vm[];
  media: Medium[];
  groups: Group[];
  tasks: TaskInfo[];
  users?: User[];
  pools: Pool[];
}

/** The data of `set`, which has an object, and `gone`, which has an id. */
export interface Change {
  kind: Kind;
  object?: Item<Kind>;
  id?: Key<Kind>;
}

const all = <K extends Kind>(kind: K, objects: Item<K>[]) => new Map(objects.map((one) => [KEY[kind](one), one]));

/** What is there after a snapshot, kept right by each `set` and `gone`. */
export class Held {
  readonly objects: Objects;

  constructor(private readonly first: Snapshot) {
    this.objects = {
      vm: all("vm", first.vms),
      medium: all("medium", first.media),
      group: all("group", first.groups),
      task: all("task", first.tasks),
      user: all("user", first.users ?? []),
    } as Objects;
  }

  take({ kind, object, id }: Change): void {
    if (object === undefined) this.objects[kind].delete(id as never);
    else this.objects[kind].set(KEY[kind](object as never) as never, object as never);
  }

  /** What a snapshot would say now. */
  snapshot(): Snapshot {
    const { vm, medium, group, task, user } = this.objects;
    return {
      ...this.first,
      vms: [...vm.values()],
      media: [...medium.values()],
      groups: [...group.values()],
      tasks: [...task.values()],
      users: this.first.users && [...user.values()],
    };
  }
}

/** Held before anything was told. */
export const NOTHING: Snapshot = { me: { uid: -1, name: "" }, vms: [], media: [], groups: [], tasks: [], pools: [] };
