/** Members of a group and of those above it, put together: what was given here stays apart from what comes from above. */
import type { GroupInfo } from "@/api/schema";
import { short } from "@/ui/permissions";

export interface Above {
  gid: number;
  name: string;
  permissions: string[];
}

export interface Member {
  uid: number;
  name: string;
  direct: string[];
  above: Above[];
}

/** `infos` begins with the group itself; the groups above it follow. */
export function joined(infos: readonly Pick<GroupInfo, "gid" | "name" | "memberships">[]): Member[] {
  const found = new Map<number, Member>();
  for (const [index, info] of infos.entries())
    for (const { uid, name, permissions } of info.memberships) {
      const member = found.get(uid) ?? { uid, name, direct: [], above: [] };
      const held = permissions.map((one) => short(one.name));
      if (index === 0) member.direct = held;
      else member.above.push({ gid: info.gid, name: info.name, permissions: held });
      found.set(uid, member);
    }
  return [...found.values()].sort(
    (a, b) => Number(b.direct.length > 0) - Number(a.direct.length > 0) || a.name.localeCompare(b.name),
  );
}
