/** What was typed of a team, what is wrong with it, and what it comes to. */
import { useState } from "react";
import { useMay, useObjects } from "@/api/live";
import { useGroupPath } from "@/ui/groups";
import { SETS } from "@/ui/permissions";
import { passwordProblem } from "@/ui/problems";
import { useNameProblem } from "../NewGroup";
import { useUserNameProblem } from "../NewUser";
import { usePassable } from "../PoolDialog";
import { quotaOf, type Share } from "../PoolFields";
import { useMost } from "../QuotaDialog";
import { readAll, type Typed } from "../quotas";
import type { Team } from "./team";

export type Who = "nobody" | "new" | "known";

export interface TeamForm {
  parent: number;
  name: string;
  quota: Typed;
  /** The pool, "" for none; not chosen yet: the first. */
  pool: string | undefined;
  share: Share;
  who: Who;
  user: string;
  password: string;
  uid: string;
  set: string;
}

/** `asked`: the steps were asked for, so what is still empty is marked as well. */
export function useTeamForm(start: number, asked = false) {
  const [form, setForm] = useState<TeamForm>({
    parent: start,
    name: "",
    quota: { cpus: "", memory_mib: "", vms: "" },
    pool: undefined,
    share: { quota: "", write: true, manage: true },
    who: "nobody",
    user: "",
    password: "",
    uid: "",
    set: "maker", // it has a quota and a pool: they are for making something of them
  });
  const may = useMay();
  const path = useGroupPath();
  const users = useObjects("user");
  const most = useMost(form.parent);
  const { pools, above } = usePassable(form.parent);
  const nameWrong = useNameProblem(form.name, form.parent);
  const userWrong = useUserNameProblem(form.user);
  const quota = readAll(form.quota, most);
  const wanted = form.pool ?? String(pools[0]?.mpid ?? "");
  const pool = may("pool.assign", form.parent) ? pools.find((one) => String(one.mpid) === wanted) : undefined;
  const top = pool && above(pool.mpid);
  const share = {
    ...form.share,
    write: form.share.write && (top?.write ?? true),
    manage: form.share.manage && (top?.manage ?? true),
  };
  const poolQuota = quotaOf(share.quota, top?.quota ?? 0);
  const wholeSet = SETS.find((one) => one.name === form.set)?.permissions ?? [];
  const permissions = wholeSet.filter((name) => may(name, form.parent));
  const who: Who = may("user.assign", form.parent) ? form.who : "nobody";
  const known = users.find((one) => String(one.uid) === form.uid);
  const memberRight =
    who === "nobody" ||
    (permissions.length > 0 &&
      (who === "known"
        ? known !== undefined
        : form.user !== "" && !userWrong && passwordProblem(form.password) === undefined));
  const right =
    form.name !== "" &&
    !nameWrong &&
    Object.keys(quota.wrong).length === 0 &&
    (!pool || "value" in poolQuota) &&
    memberRight;
  const team: Team = {
    name: form.name,
    parent: form.parent,
    parentPath: path(form.parent),
    limits: quota.limits,
    ...(pool && "value" in poolQuota
      ? { pool: { mpid: pool.mpid, name: pool.name, quota: poolQuota.value, write: share.write, manage: share.manage } }
      : {}),
    ...(who === "new"
      ? { member: { name: form.user, password: form.password, permissions } }
      : who === "known" && known
        ? { member: { name: known.name, uid: known.uid, permissions } }
        : {}),
  };
  return {
    form,
    set: (part: Partial<TeamForm>) => setForm((before) => ({ ...before, ...part })),
    team,
    right,
    who,
    most,
    pools,
    pool,
    top,
    share,
    permissions,
    /** Of the set, what the caller does not hold and so cannot give. */
    missing: wholeSet.filter((name) => !permissions.includes(name)),
    wrong: {
      name: nameWrong ?? (asked && form.name === "" ? "Enter a name for the team." : undefined),
      user: userWrong ?? (asked && form.user === "" ? "Enter a user name." : undefined),
      password: asked && form.password === "" ? passwordProblem("") : undefined,
      uid: asked && known === undefined ? "Choose a user." : undefined,
      quota: quota.wrong,
      pool: "wrong" in poolQuota ? poolQuota.wrong : undefined,
    },
  };
}
