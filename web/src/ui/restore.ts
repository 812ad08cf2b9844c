/** Restores things from the trash: from its list, or with the button of the toast about their deletion. */
import { call } from "@/api/call";
import { messageOf } from "@/api/http";
import type { TrashItem } from "@/api/schema";
import { showToast } from "./actions";
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
  });

/** `ids` are those before the deletion. */
export async function undoDeletion(kind: TrashItem["kind"], ids: readonly (string | number)[]): Promise<void> {
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
