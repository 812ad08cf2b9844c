/** Restores things from the trash: from its list, or with the button of the toast about their deletion. */
import { call } from "@/api/call";
import { messageOf } from "@/api/http";
import { live } from "@/api/live";
import type { TrashItem } from "@/api/schema";
import { type Offer, runAction, showToast } from "./actions";
import { runBulk } from "./bulk";
import { order } from "./trashOrder";

/** `host` is for VMs whose own host is gone. */
export const restore = (items: readonly TrashItem[], host?: number): Promise<boolean> =>
  runBulk(order(items), {
    pending: "Restoring",
    done: "restored",
    noun: "item",
    name: (item) => item.name,
    do: (item) => call("put", "/t/trash", { trid: item.trid, ...(host === undefined ? {} : { host }) }),
    inOrder: true,
    message: comesStopped(items),
    offer: startOf(items),
  });

/** What to say of restored VMs: nothing starts them. */
export const comesStopped = (items: readonly TrashItem[]): string | undefined => {
  const vms = items.filter((one) => one.kind === "vm").length;
  if (vms > 0) return vms === 1 ? "The VM is stopped until you start it." : "The VMs are stopped until you start them.";
  return items.some((one) => one.kind === "group") ? "VMs of the group are stopped until you start them." : undefined;
};

/** An offer to start it, for one VM and those who may start it. */
function startOf([item, ...others]: readonly TrashItem[]): Offer | undefined {
  if (item?.kind !== "vm" || others.some((one) => one.kind === "vm")) return undefined;
  if (!live.get("group", item.gid)?.permissions.includes("velocity.vm.state")) return undefined;
  const start = { vmid: Number(item.id), state: "RUNNING" } as const;
  const told = { pending: `Starting ${item.name}`, done: `${item.name} is running` };
  return { title: "Start it", do: () => void runAction({ ...told, do: () => call("put", "/v/vm/state", start) }) };
}

/** `ids` are those before the deletion. */
export const undoOf = (kind: TrashItem["kind"], ids: readonly (string | number)[]): Offer => ({
  title: "Undo",
  do: () => void undoDeletion(kind, ids),
});

async function undoDeletion(kind: TrashItem["kind"], ids: readonly (string | number)[]): Promise<void> {
  try {
    const wanted = new Set(ids.map(String));
    const { items } = await call("post", "/t/trash/list", {});
    const found = items.filter((one) => one.kind === kind && wanted.has(one.id));
    if (found.length > 0) await restore(found);
    else showToast("warning", "It is no longer in the trash");
  } catch (error) {
    showToast("danger", "The trash could not be read", messageOf(error));
  }
}
