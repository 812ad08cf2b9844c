/** The columns of the table of media. */
import { Button, Flex, Label, Popover } from "@patternfly/react-core";
import { Link } from "react-router";
import type { Medium } from "@/api/live";
import { Icon } from "@/look/Icon";
import { menuRoom } from "@/ui/Dropdown";
import { bytes } from "@/ui/format";
import { mediumType, NONE, Tag } from "@/ui/labels";
import { PathText } from "@/ui/PathText";
import type { Column } from "@/ui/table/DataTable";
import { bootWords, canImport, formatWords } from "./content";
import { warningOf } from "./warning";

export function columnsOf(
  path: (gid: number) => string,
  pool: (mpid: number) => string,
  /** Whether there is more than one pool. */
  pools: boolean,
  onImport: ((medium: Medium) => void) | undefined,
): Column<Medium>[] {
  return [
    { key: "name", title: "Name", names: true, cell: (one) => <Named medium={one} />, sort: (one) => one.name },
    { key: "type", title: "Type", phone: "first", cell: (one) => mediumType(one.type), sort: (one) => one.type },
    {
      key: "content",
      phone: "none",
      title: "Holds",
      cell: (one) => <Holds medium={one} onImport={onImport} />,
      sort: formatWords,
      text: (one) => [formatWords(one), one.content?.label, bootWords(one), one.content?.warning].join(" "),
    },
    {
      key: "size",
      title: "Size",
      nowrap: true,
      number: true,
      cell: (one) => bytes(one.size),
      sort: (one) => one.size,
    },
    {
      key: "allocated",
      title: "On disk",
      nowrap: true,
      number: true,
      phone: "none",
      cell: (one) => <span className="v-subtle">{one.missing ? "its file is missing" : bytes(one.allocated)}</span>,
      sort: (one) => (one.missing ? -1 : one.allocated),
    },
    { key: "pool", title: "Pool", optional: !pools, cell: (one) => pool(one.mpid), sort: (one) => pool(one.mpid) },
    { key: "group", title: "Group", cell: (one) => <PathText path={path(one.gid)} />, sort: (one) => path(one.gid) },
    {
      key: "used",
      title: "Used by",
      cell: (one) => <UsedBy medium={one} />,
      sort: (one) => one.used_by.length,
      text: (one) => one.used_by.map((vm) => vm.name).join(" "),
    },
    {
      key: "readonly",
      title: "Writing",
      cell: (one) => (one.readonly ? "Read-only" : "Allowed"),
      sort: (one) => (one.readonly ? "Read-only" : "Allowed"),
      optional: true,
    },
    { key: "format", title: "File format", cell: (one) => one.format, sort: (one) => one.format, optional: true },
    { key: "mid", title: "ID", cell: (one) => <code>{one.mid}</code>, sort: (one) => one.mid, optional: true },
  ];
}

function Named({ medium }: { medium: Medium }) {
  return (
    <div>
      <Link to={`/media/${medium.mid}`}>
        <bdi>{medium.name}</bdi>
      </Link>{" "}
      {medium.readonly && (
        <Tag>
          <Icon name="lock" />
          Read-only
        </Tag>
      )}
    </div>
  );
}

function Holds({ medium, onImport }: { medium: Medium; onImport: ((medium: Medium) => void) | undefined }) {
  const { content } = medium;
  const boots = bootWords(medium);
  return (
    <div className="v-holds">
      <span className="v-words">
        {formatWords(medium)}
        {content?.label && <bdi className="v-subtle"> {content.label}</bdi>}
      </span>
      {(boots || content?.warning) && (
        <Flex gap={{ default: "gapXs" }}>
          {boots && (content?.boots_efi ? <small className="v-subtle">{boots}</small> : <Tag tone="warn">{boots}</Tag>)}
          {content?.warning && (
            <Popover
              appendTo={menuRoom}
              headerContent="What to know before attaching it"
              headerComponent="h2"
              bodyContent={warningOf(content)}
              footerContent={(hide) =>
                onImport && canImport(medium) ? (
                  <Button
                    size="sm"
                    onClick={() => {
                      hide();
                      onImport(medium);
                    }}
                  >
                    Make a disk from it…
                  </Button>
                ) : null
              }
            >
              <Label isCompact color="orange" icon={<Icon name="warning" />} onClick={() => undefined}>
                Warning<span className="v-hidden-text"> about {medium.name}</span>
              </Label>
            </Popover>
          )}
        </Flex>
      )}
    </div>
  );
}

function UsedBy({ medium }: { medium: Medium }) {
  if (medium.used_by.length === 0) return NONE;
  return (
    <span className="v-words v-used">
      {medium.used_by.map((vm, index) => (
        <span key={vm.vmid}>
          <Link to={`/vms/${vm.vmid}`}>{vm.name}</Link>
          {vm.writing && <span className="v-subtle v-whole"> (may write)</span>}
          {index < medium.used_by.length - 1 && ", "}
        </span>
      ))}
    </span>
  );
}
