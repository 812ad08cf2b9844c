/** What pools and quotas hold and have left, as bars show it. */
import type { HostInfo, HostPool, PoolInfo } from "@/api/schema";
import { bytes, capital } from "@/ui/format";

export interface PoolUsage {
  key: string;
  name: string;
  /** Bytes. */
  used: number;
  size: number;
  /** A quota, else the disk itself. */
  quota: boolean;
  words: string;
  /** What is wrong with the pool: it is away, or can only be read. */
  problem?: string;
  /** The host that it is on; absent: there is only one, or it is shared. */
  host?: number | undefined;
}

const problemOf = (pool: HostPool | PoolInfo) => (pool.message === undefined ? {} : { problem: capital(pool.message) });

export const share = (room: PoolUsage): number => (room.size > 0 ? Math.min(1, room.used / room.size) : 0);

/** The disk that a pool lies on. Media may grow to more than it has. */
export function ofDisk(pool: HostPool): PoolUsage {
  const used = Math.max(0, pool.size - pool.free);
  const over = pool.declared - pool.allocated > pool.free;
  return {
    key: `disk-${pool.mpid}`,
    name: pool.name,
    used,
    size: pool.size,
    quota: false,
    ...problemOf(pool),
    words:
      problemOf(pool).problem ??
      `${bytes(pool.free)} free of ${bytes(pool.size)}.${
        pool.declared > 0
          ? ` Media take ${bytes(pool.allocated)} and may grow to ${bytes(pool.declared)}${over ? ", which is more than is free" : ""}.`
          : ""
      }`,
  };
}

/** What a group may have in a pool; nothing if it has no quota there. */
export function ofQuota(pool: PoolInfo, gid: number, path: string): PoolUsage | undefined {
  const left = pool.left;
  if (left === undefined) return undefined;
  const size = pool.quota > 0 ? pool.quota : pool.used + left;
  const used = Math.min(size, Math.max(pool.used, size - left));
  return {
    key: `quota-${gid}-${pool.mpid}`,
    name: `${pool.name} for ${path}`,
    used,
    size,
    quota: true,
    words:
      problemOf(pool).problem ??
      `${bytes(Math.max(0, left))} of quota left of ${bytes(size)}; ${bytes(pool.free)} free in the pool.`,
  };
}

/** A pool without a quota and without a look at the host: what is free is all that is known. */
export function ofUse(pool: PoolInfo, gid: number, path: string): PoolUsage {
  return {
    key: `use-${gid}-${pool.mpid}`,
    name: gid === 0 ? pool.name : `${pool.name} for ${path}`,
    used: pool.used,
    size: pool.used + pool.free,
    quota: false,
    host: pool.host?.id,
    ...problemOf(pool),
    words: problemOf(pool).problem ?? `${bytes(pool.used)} of media; ${bytes(pool.free)} free in the pool. No quota.`,
  };
}

export interface GroupPools {
  gid: number;
  parent: number;
  path: string;
  pools: readonly PoolInfo[];
}

/** Disks first, then quotas from the top of the tree down. A group that only has its parent's quota is not shown again. */
export function arranged(host: Pick<HostInfo, "pools"> | undefined, groups: readonly GroupPools[]): PoolUsage[] {
  const seen = new Set(host?.pools.map((pool) => pool.mpid));
  const quotas = new Map<string, number>();
  const rooms = (host?.pools ?? []).map(ofDisk);
  for (const { gid, parent, path, pools } of groups) {
    for (const pool of pools) {
      const room = ofQuota(pool, gid, path);
      if (room) {
        quotas.set(`${gid} ${pool.mpid}`, room.size);
        if (quotas.get(`${parent} ${pool.mpid}`) !== room.size || gid === parent) rooms.push(room);
      } else if (!seen.has(pool.mpid)) rooms.push(ofUse(pool, gid, path));
      seen.add(pool.mpid);
    }
  }
  return rooms;
}
