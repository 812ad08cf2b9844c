/** The ISOs of the groups above one's own: to boot from, and not one's to change. */
import { Card, CardBody, CardTitle } from "@patternfly/react-core";
import { Link } from "react-router";
import { useObjects } from "@/api/live";
import { useAttachable } from "@/ui/attachable";
import { bytes } from "@/ui/format";
import { type GroupChoice, useGroupsWhere } from "@/ui/groups";
import { Tag } from "@/ui/labels";
import { bootWords, canStart } from "./content";

const depth = (one: GroupChoice): number => one.path.split("/").length;

export function Shared() {
  const [deepest] = useGroupsWhere("media.list").toSorted((a, b) => depth(b) - depth(a)); // most groups are above it
  return deepest ? <From gid={deepest.gid} /> : null;
}

function From({ gid }: { gid: number }) {
  const mayCreate = useGroupsWhere("vm.create").length > 0;
  const own = new Set(useObjects("medium").map((one) => one.mid));
  const shared = useAttachable(gid).filter((one) => !own.has(one.mid));
  if (shared.length === 0) return null;
  return (
    <Card isCompact component="section" aria-labelledby="shared" className="v-uploads">
      <CardTitle component="h2" id="shared">
        Shared ISOs
      </CardTitle>
      <CardBody>
        <p className="v-subtle v-space-below">From the groups above yours. Your VMs can boot from them.</p>
        <ul className="v-lines v-plain-list">
          {shared.map((one) => (
            <li key={one.mid} className="v-above">
              <span className="v-words">{one.name}</span>
              <Tag>{bytes(one.size)}</Tag>
              {bootWords(one) && <Tag tone={one.content?.boots_efi ? undefined : "warn"}>{bootWords(one)}</Tag>}
              {mayCreate && canStart(one) && (
                <Link className="v-link" to={`/create?image=${one.mid}`} aria-label={`Create a VM from ${one.name}`}>
                  Create a VM from it
                </Link>
              )}
            </li>
          ))}
        </ul>
      </CardBody>
    </Card>
  );
}
