/** Carries the plan out, step by step: what was made is known, so that one can go on after a failure, or undo it. */
import { useRef, useState } from "react";
import { call, send } from "@/api/call";
import { ApiError } from "@/api/http";
import { type Kind, live } from "@/api/live";
import type { TaskInfo } from "@/api/schema";
import { uploads } from "@/api/upload";
import { type Draft, grownSize } from "./draft";
import { createVm, fetchImage, type Image, makeDisk } from "./requests";

export type StepId = "upload" | "fetch" | "disk" | "grow" | "vm" | "start";

export interface RunStep {
  id: StepId;
  state: "todo" | "running" | "done" | "failed";
  /** How far it is. */
  note?: string;
}

export interface Run {
  is: "running" | "failed" | "done" | "undoing";
  steps: RunStep[];
  /** Medium and VM that this run has made. */
  disk?: string;
  vmid?: number;
  warnings: string[];
  error?: Error;
}

/** What is to be carried out. */
export interface Order {
  draft: Draft;
  image: Image | undefined;
  /** The upload that the image comes from, if it is not there yet. */
  upload: number | undefined;
}

export function useRun() {
  const [run, setRun] = useState<Run>();
  const present = useRef<Run>(undefined);
  const before = useRef<Before>(undefined);
  const set = (change: Partial<Run>) => {
    const next = { ...(present.current as Run), ...change };
    present.current = next;
    setRun(next);
  };
  const step = (id: StepId, change: Partial<RunStep>) =>
    set({ steps: (present.current as Run).steps.map((one) => (one.id === id ? { ...one, ...change } : one)) });

  /** The id of the VM, when all is done; nothing if a step failed. */
  async function execute(order: Order): Promise<number | undefined> {
    const old = present.current;
    before.current ??= seen();
    const steps = stepsOf(order).map((id) => ({ id, state: "todo" as const }));
    present.current = { is: "running", steps, disk: old?.disk, vmid: old?.vmid, warnings: [] };
    set({});
    for (const { id } of steps) {
      step(id, { state: "running" });
      try {
        await WORK[id](order, present.current as Run, set, (note) => step(id, { note }), before.current);
        step(id, { state: "done", note: undefined });
      } catch (error) {
        step(id, { state: "failed" });
        set({ is: "failed", error: error as Error });
        return undefined;
      }
    }
    set({ is: "done" });
    return present.current.vmid;
  }

  /** Takes away what this run has made; an upload stays. Raises `ApiError`. */
  async function undo(): Promise<void> {
    const { vmid, disk } = present.current as Run;
    set({ is: "undoing" });
    try {
      if (vmid !== undefined) {
        if (live.get("vm", vmid)?.state !== "STOPPED")
          await call("put", "/v/vm/state", { vmid, state: "STOPPED", force: true });
        await call("delete", "/v/vm", { vmid, purge: true });
        set({ vmid: undefined });
      }
      if (disk !== undefined) await call("delete", "/m/media", { mid: disk, purge: true });
    } catch (error) {
      set({ is: "failed" });
      throw error;
    }
    forget();
  }

  function forget(): void {
    present.current = undefined;
    before.current = undefined;
    setRun(undefined);
  }

  /** Back to the questions; what was made stays known, and is not made again. */
  const back = () => setRun(undefined);
  return { run, made: present.current, execute, undo, back };
}

export function stepsOf({ draft, image, upload }: Order): StepId[] {
  const steps: StepId[] = [];
  if (upload !== undefined) steps.push("upload");
  if (image?.fetch) steps.push("fetch");
  if (draft.disk !== "none" && draft.disk !== "itself") steps.push("disk");
  if (grownSize(draft) !== undefined) steps.push("grow");
  steps.push("vm");
  if (draft.start) steps.push("start");
  return steps;
}

/** What was there before the run: an answer may be lost, and what it told is found by this. */
interface Before {
  vms: Set<number>;
  media: Set<string>;
}
const seen = (): Before => ({
  vms: new Set(live.list("vm").map((one) => one.vmid)),
  media: new Set(live.list("medium").map((one) => one.mid)),
});

type Work = (
  order: Order,
  run: Run,
  set: (change: Partial<Run>) => void,
  note: (note: string) => void,
  before: Before,
) => Promise<void>;

const WORK: Record<StepId, Work> = {
  upload: async (order, _run, _set, note) => {
    const mid = await arrived(order.upload as number, note);
    if (order.image) order.image = { ...order.image, mid };
  },
  fetch: async (order, _run, _set, note) => {
    const { draft, image } = order;
    if (!image?.fetch || image.mid) return;
    const { tid } = await call("put", "/m/media/fetch", fetchImage(draft, image));
    order.image = { ...image, mid: await ended(tid, note) };
  },
  disk: async ({ draft, image }, run, set, note, before) => {
    if (run.disk !== undefined) return;
    const making = makeDisk(draft, image);
    if (!making) throw new Error("The image no longer exists. Choose another image.");
    const found = live
      .list("medium")
      .find(
        (one) =>
          !before.media.has(one.mid) && one.gid === draft.gid && one.mpid === draft.mpid && one.name === draft.diskName,
      );
    if (found) return set({ disk: found.mid });
    const answer = (await send("put", making.path, making.body)) as { mid?: string; tid?: number };
    set({ disk: answer.mid ?? (await ended(answer.tid as number, note)) });
  },
  grow: async ({ draft }, run) => {
    const size = grownSize(draft);
    if (run.disk !== undefined && size !== undefined && live.get("medium", run.disk)?.size !== size)
      await call("patch", "/m/media", { mid: run.disk, size });
  },
  vm: async ({ draft, image }, run, set, _note, before) => {
    if (run.vmid !== undefined) return;
    const found = live
      .list("vm")
      .find((one) => !before.vms.has(one.vmid) && one.gid === draft.gid && one.name === draft.name);
    if (found) return set({ vmid: found.vmid });
    const { vmid, warnings } = await call("put", "/v/vm/efi", createVm(draft, image, run.disk));
    set({ vmid, warnings: warnings ?? [] });
  },
  start: async (_order, run) => {
    if (run.vmid !== undefined) await call("put", "/v/vm/state", { vmid: run.vmid, state: "RUNNING", force: false });
  },
};

function arrived(id: number, note: (note: string) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    const look = () => {
      const upload = uploads.get(id);
      const fail = (message: string) => reject(upload?.error ?? new ApiError(0, 0, message));
      if (upload?.state === "done" && upload.mid) resolve(upload.mid);
      else if (!upload) fail("The upload was cancelled. Choose another image.");
      else if (upload.state === "failed") fail("The upload failed. Choose another image.");
      else {
        note(`${Math.floor((100 * upload.sent) / Math.max(1, upload.size))}%`);
        return;
      }
      end();
    };
    const end = uploads.all.watch(look);
    look();
  });
}

/** The medium that a task makes, when it has made it. */
function ended(tid: number, note: (note: string) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    const look = () => {
      const task: TaskInfo | undefined = live.get("task", tid);
      if (!task) return;
      if (task.state === "RUNNING") {
        if (task.total > 0) note(`${Math.floor((100 * task.done) / task.total)}%`);
        return;
      }
      end();
      if (task.state === "DONE" && task.mid) resolve(task.mid);
      else reject(new Error(task.message ?? `It was ${task.state.toLowerCase()} under Tasks.`));
    };
    const end = live.watch("task" satisfies Kind, look);
    look();
  });
}
