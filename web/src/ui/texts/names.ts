/** The present names of things, as far as the user sees them. */
import { live } from "@/api/live";
import { pathsOf } from "../groups";
import { type Names, ROOT_GROUP } from "./words";

export const NAMES: Names = {
  vm: (vmid) => live.get("vm", vmid)?.name,
  medium: (mid) => live.get("medium", mid)?.name,
  group: (gid) => (gid === 0 ? ROOT_GROUP : pathsOf(live.list("group")).get(gid)),
  user: (uid) => live.get("user", uid)?.name,
  pool: (mpid) => live.pools.value.find((one) => one.mpid === mpid)?.name,
};
