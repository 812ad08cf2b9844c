/** Of which group, with all groups below it: the groups as their tree, with how many VMs each has. */
import {
  Divider,
  MenuSearch,
  MenuSearchInput,
  MenuToggle,
  SearchInput,
  Select,
  SelectList,
  SelectOption,
} from "@patternfly/react-core";
import { useEffect, useMemo, useRef, useState } from "react";
import { useObjects } from "@/api/live";
import { menuRoom, moveToEnd } from "@/ui/Dropdown";
import { groupTitle, useGroupPath } from "@/ui/groups";
import { tree, withCounts } from "./filters";

/** From here on there is a field to search in. */
const MANY = 10;
const EVERY = "every";

export function GroupFilter({
  gid,
  onChange,
}: {
  gid: number | undefined;
  onChange: (gid: number | undefined) => void;
}) {
  const groups = useObjects("group");
  const path = useGroupPath();
  const [open, setOpen] = useState(false);
  const many = groups.length > MANY;
  if (groups.length < 2 && gid === undefined) return null;
  return (
    <div>
      <Select
        isOpen={open}
        onOpenChange={setOpen}
        onOpenChangeKeys={many ? ["Escape"] : ["Escape", "Tab"]} // Tab leads from the search to what it found
        shouldFocusFirstItemOnOpen={!many}
        shouldFocusToggleOnSelect
        onKeyDown={moveToEnd}
        popperProps={{ appendTo: menuRoom }}
        selected={gid ?? EVERY}
        isScrollable
        onSelect={(_event, value) => {
          onChange(value === EVERY ? undefined : Number(value));
          setOpen(false);
        }}
        toggle={(ref) => (
          <MenuToggle ref={ref} isExpanded={open} onClick={() => setOpen(!open)} className="v-vms-group">
            {gid === undefined ? "All groups" : `In ${path(gid)}`}
          </MenuToggle>
        )}
      >
        {open && <Groups gid={gid} />}
      </Select>
    </div>
  );
}

function Groups({ gid }: { gid: number | undefined }) {
  const groups = useObjects("group");
  const vms = useObjects("vm");
  const path = useGroupPath();
  const [words, setWords] = useState("");
  const search = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const timer = setTimeout(() => search.current?.focus()); // it is not placed yet
    return () => clearTimeout(timer);
  }, []);
  const branches = useMemo(() => withCounts(tree(groups), vms), [groups, vms]);
  const shown = branches.filter((one) => path(one.gid).toLowerCase().includes(words.trim().toLowerCase()));
  return (
    <>
      {branches.length > MANY && (
        <>
          <MenuSearch>
            <MenuSearchInput>
              <SearchInput
                ref={search}
                aria-label="Search groups"
                value={words}
                onChange={(_event, value) => setWords(value)}
                onClear={() => setWords("")}
              />
            </MenuSearchInput>
          </MenuSearch>
          <Divider />
        </>
      )}
      <SelectList aria-label="Group">
        <SelectOption value={EVERY}>All groups</SelectOption>
        {shown.map((one) => (
          <SelectOption
            key={one.gid}
            value={one.gid}
            isSelected={one.gid === gid}
            aria-label={`${path(one.gid)} ${one.vms}`}
          >
            <span style={{ paddingInlineStart: `${words ? 0 : one.depth * 1.25}rem` }}>
              <bdi>{words ? path(one.gid) : groupTitle(one)}</bdi> <span className="v-subtle">{one.vms}</span>
            </span>
          </SelectOption>
        ))}
      </SelectList>
    </>
  );
}
