/** What setting up a team consists of: each step with its words, its command line, and how it is carried out. */
import type { call } from "@/api/call";
import type { Quota } from "@/api/schema";
import { bytes, count } from "@/ui/format";
import { exactly, long, words } from "@/ui/permissions";
import { assignLine, newGroupLine, newUserLine, userWord } from "../commands";
import { amount, LIMITED, quotaLine } from "../quotas";

export interface Team {
  name: string;
  parent: number;
  parentPath: string;
  limits: Quota;
  pool?: { mpid: number; name: string; quota: number; write: boolean; manage: boolean };
  member?: { name: string; uid?: number; password?: string; permissions: readonly string[] };
}

/** What the steps before have made. */
export interface Made {
  gid?: number;
  uid?: number;
}

export interface TeamStep {
  key: string;
  title: string;
  cli: string[];
  run: (made: Made, send: typeof call) => Promise<void>;
}

export const pathOf = (team: Pick<Team, "name" | "parent" | "parentPath">): string =>
  team.parent === 0 ? team.name : `${team.parentPath}/${team.name}`;

export function stepsOf(team: Team): TeamStep[] {
  const { name, parent, parentPath, limits, pool, member } = team;
  const path = pathOf(team);
  const group = (made: Made): number => {
    if (made.gid === undefined) throw new Error("The group does not exist yet.");
    return made.gid;
  };
  const steps: TeamStep[] = [
    {
      key: "group",
      title: `Create the group ${path}`,
      cli: newGroupLine(name, parentPath, parent),
      run: async (made, send) => {
        made.gid = (await send("put", "/u/group", { name, parent_gid: parent })).gid;
      },
    },
  ];
  const limited = LIMITED.flatMap((one) =>
    limits[one] === undefined ? [] : [`${amount(one, limits[one])}${one === "memory_mib" ? " of memory" : ""}`],
  );
  if (limited.length > 0)
    steps.push({
      key: "quota",
      title: `Set its quota: ${limited.join(", ")}`,
      cli: quotaLine(-1, path, limits),
      run: async (made, send) => {
        await send("put", "/u/group/quota", { gid: group(made), ...limits });
      },
    });
  if (pool) {
    const may = ["read", ...(pool.write ? ["write"] : []), ...(pool.manage ? ["manage"] : [])].join(", ");
    steps.push({
      key: "pool",
      title: `Assign the pool ${pool.name}: ${pool.quota > 0 ? bytes(pool.quota) : "no limit"}; ${may}`,
      cli: assignLine(pool.mpid, path, pool),
      run: async (made, send) => {
        const { mpid, quota, write, manage } = pool;
        await send("put", "/m/pool/assign", { gid: group(made), mpid, quota, write, manage });
      },
    });
  }
  if (member) steps.push(...memberSteps(member, path, group));
  return steps;
}

function memberSteps(member: NonNullable<Team["member"]>, path: string, group: (made: Made) => number): TeamStep[] {
  const { name, password } = member;
  const set = exactly(member.permissions);
  const steps: TeamStep[] = [];
  if (member.uid === undefined)
    steps.push({
      key: "user",
      title: `Create the user ${name}`,
      cli: newUserLine(name, path),
      run: async (made, send) => {
        made.uid = (await send("put", "/u/user", { name, password: password ?? "", gid: group(made) })).uid;
      },
    });
  steps.push({
    key: "grant",
    title: `Grant ${name} ${set ? `the set ${set.name} of ${set.permissions.length} permissions: ${set.about}` : count(member.permissions.length, "permission")}`,
    cli: ["velocity", "user", "grant", userWord(name, member.uid ?? -1), ...words(member.permissions), "--group", path],
    run: async (made, send) => {
      const uid = member.uid ?? made.uid;
      if (uid === undefined) throw new Error("The user does not exist yet.");
      for (const permission of member.permissions)
        await send("put", "/u/user/permission", { uid, gid: group(made), permission: long(permission) });
    },
  });
  return steps;
}
