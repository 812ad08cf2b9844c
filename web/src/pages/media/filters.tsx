/** Which media are shown: by type, pool, group, and whether a VM has them. */
import { useMemo, useState } from "react";
import { type Medium, usePools } from "@/api/live";
import { Filter } from "@/ui/Choose";
import { useGroupPath } from "@/ui/groups";
import { mediumType } from "@/ui/labels";

export interface Filters {
  type?: string;
  pool?: string;
  group?: string;
  use?: string;
}

export function useFiltered(media: readonly Medium[]) {
  const [filters, setFilters] = useState<Filters>({});
  const shown = useMemo(() => media.filter((medium) => fits(medium, filters)), [media, filters]);
  return { shown, filters, setFilters };
}

export function fits(medium: Medium, { type, pool, group, use }: Filters): boolean {
  if (type && medium.type !== type) return false;
  if (pool && String(medium.mpid) !== pool) return false;
  if (group && String(medium.gid) !== group) return false;
  if (use === "used") return medium.used_by.length > 0;
  if (use === "unused") return medium.used_by.length === 0;
  if (use === "warning") return medium.content?.warning !== undefined;
  return true;
}

export function MediaFilters({
  media,
  filters,
  onChange,
}: {
  media: readonly Medium[];
  filters: Filters;
  onChange: (filters: Filters) => void;
}) {
  const path = useGroupPath();
  const pools = usePools();
  const values = (of: (medium: Medium) => string, chosen: string | undefined) =>
    [...new Set([...media.map(of), ...(chosen ? [chosen] : [])])].sort();
  const set = (key: keyof Filters) => (value: string) => onChange({ ...filters, [key]: value });
  const types = values((one) => one.type, filters.type);
  const groups = values((one) => String(one.gid), filters.group);
  const poolName = (mpid: string) => pools.find((pool) => String(pool.mpid) === mpid)?.name ?? `pool ${mpid}`;
  const mpids = values((one) => String(one.mpid), filters.pool);
  return (
    <>
      {types.length > 1 && (
        <Filter
          label="Type"
          all="All types"
          value={filters.type ?? ""}
          onChange={set("type")}
          choices={types.map((value) => ({ value, label: mediumType(value) }))}
        />
      )}
      {mpids.length > 1 && (
        <Filter
          label="Pool"
          all="All pools"
          value={filters.pool ?? ""}
          onChange={set("pool")}
          choices={mpids.map((value) => ({ value, label: poolName(value) }))}
        />
      )}
      {groups.length > 1 && (
        <Filter
          label="Group"
          all="All groups"
          value={filters.group ?? ""}
          onChange={set("group")}
          choices={groups.map((value) => ({ value, label: path(Number(value)) }))}
        />
      )}
      <Filter
        label="Use"
        all="Used or not"
        value={filters.use ?? ""}
        onChange={set("use")}
        choices={[
          { value: "used", label: "Used by a VM" },
          { value: "unused", label: "Not used" },
          { value: "warning", label: "With a warning" },
        ]}
      />
    </>
  );
}
