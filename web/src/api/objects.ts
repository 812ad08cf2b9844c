/** What the stream of events tells of: its objects, and the store of them after a snapshot and all that came after it. */
import type { Gone, GroupView, InitialState, MediumView, TaskInfo, UserSummary, VmView } from "./schema";

export type {
  GroupView as Group,
  MediumView as Medium,
  PoolView as Pool,
  UserSummary as User,
  VmView as Vm,
} from "./schema";

export interface Objects {
  vm: Map<number, VmView>;
  medium: Map<string, MediumView>;
  group: Map<number, GroupView>;
  task: Map<number, TaskInfo>;
  user: Map<number, UserSummary>;
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

/** The data of the event `set`: an object that is new, or another than it was. */
export interface SetObject<K extends Kind = Kind> {
  kind: K;
  object: Item<K>;
}
/** The data of `set` and `gone`. */
export type Change = SetObject | Gone;

const all = <K extends Kind>(kind: K, objects: Item<K>[]) => new Map(objects.map((one) => [KEY[kind](one), one]));

/** What is there after a snapshot, kept right by each `set` and `gone`. */
export class ObjectStore {
  readonly objects: Objects;

  constructor(private readonly first: InitialState) {
    this.objects = {
      vm: all("vm", first.vms),
      medium: all("medium", first.media),
      group: all("group", first.groups),
      task: all("task", first.tasks),
      user: all("user", first.users ?? []),
    } as Objects;
  }

  apply(change: Change): void {
    const objects = this.objects[change.kind] as Map<number | string, Item<Kind>>;
    if ("id" in change) objects.delete(change.id);
    else objects.set(KEY[change.kind](change.object as never), change.object);
  }

  /** What a snapshot would say now. */
  snapshot(): InitialState {
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

/** Before the first snapshot has come. */
export const EMPTY_SNAPSHOT: InitialState = {
  me: { uid: -1, name: "" },
  vms: [],
  media: [],
  groups: [],
  tasks: [],
  pools: [],
};
