/** One group: what is in it, what it may have, who its members are, and what the caller may do with it. */
import {
  Breadcrumb,
  BreadcrumbItem,
  Button,
  Card,
  CardBody,
  CardTitle,
  Content,
  Flex,
  Title,
} from "@patternfly/react-core";
import { useState } from "react";
import { Link, useNavigate } from "react-router";
import { type Group, useMay, useObjects } from "@/api/live";
import { session } from "@/api/session";
import { count } from "@/ui/format";
import { groupTitle, ROOT } from "@/ui/groups";
import { LinkButton } from "@/ui/LinkButton";
import { WhyButton } from "@/ui/WhyButton";
import { DeleteGroup } from "./DeleteGroup";
import { useContents } from "./GroupTree";
import { Held } from "./Held";
import { Members } from "./Members";
import { NewGroup } from "./NewGroup";
import { Pools } from "./Pools";
import { Quota } from "./Quota";
import { lineOf } from "./tree";

export function GroupDetails({ group }: { group: Group }) {
  const may = useMay();
  const navigate = useNavigate();
  const [wish, setWish] = useState<"create" | "delete">();
  const { gid, parent_gid: parent } = group;
  const close = () => setWish(undefined);
  return (
    <section className="v-people-details" aria-labelledby="group-title">
      <div>
        <LinkButton to="/groups" variant="link" isInline className="v-people-back">
          All groups
        </LinkButton>
        <Line group={group} />
        <Flex justifyContent={{ default: "justifyContentSpaceBetween" }} gap={{ default: "gapMd" }}>
          <Title headingLevel="h2" id="group-title" className="v-name">
            <bdi>{groupTitle(group)}</bdi> <span className="v-subtle v-gid">ID {gid}</span>
          </Title>
          <Flex gap={{ default: "gapSm" }}>
            <WhyButton question={{ gid }} label="Check access" name={groupTitle(group)} variant="secondary" />
            {may("group.create", gid) && (
              <Button variant="secondary" onClick={() => setWish("create")}>
                Create a subgroup
              </Button>
            )}
            {gid !== ROOT && may("group.remove", parent) && (
              <Button variant="secondary" isDanger onClick={() => setWish("delete")}>
                Delete
              </Button>
            )}
          </Flex>
        </Flex>
      </div>
      <div className="v-people-cards">
        <Holds group={group} />
        {may("group.view", gid) && <Quota gid={gid} parent={parent} />}
      </div>
      {may("pool.list", gid) && <Pools gid={gid} parent={parent} />}
      {may("group.view", gid) && <Members gid={gid} />}
      {wish === "create" && <NewGroup parent={gid} onDone={(one) => navigate(`/groups/${one}`)} onClose={close} />}
      {wish === "delete" && (
        <DeleteGroup group={group} onDone={() => navigate(`/groups/${parent}`, { replace: true })} onClose={close} />
      )}
    </section>
  );
}

function Line({ group }: { group: Group }) {
  const groups = useObjects("group");
  const above = lineOf(groups, group.gid).slice(1).reverse();
  if (above.length === 0) return null;
  return (
    <Breadcrumb aria-label="Groups above">
      {above.map((one) => (
        <BreadcrumbItem
          key={one.gid}
          render={({ className }) => (
            <Link className={className} to={`/groups/${one.gid}`}>
              {groupTitle(one)}
            </Link>
          )}
        />
      ))}
      <BreadcrumbItem isActive>{groupTitle(group)}</BreadcrumbItem>
    </Breadcrumb>
  );
}

function Holds({ group }: { group: Group }) {
  const { gid } = group;
  const { vms, media, groups } = useContents(gid);
  const may = useMay();
  const among = ({ own, all }: { own: number; all: number }) => (all > own ? `, ${all} with its subgroups` : "");
  return (
    <Card isCompact>
      <CardTitle component="h3">In this group</CardTitle>
      <CardBody>
        <Content component="ul" isPlainList>
          {may("vm.view", gid) && (
            <li>
              <Link to={`/vms?group=${gid}`}>{count(vms.own, "virtual machine")}</Link>
              <span className="v-subtle">{among(vms)}</span>
            </li>
          )}
          {may("media.list", gid) && (
            <li>
              <Link to={`/media?group=${gid}`}>{count(media.own, "medium", "media")}</Link>
              <span className="v-subtle">{among(media)}</span>
            </li>
          )}
          <li>{count(groups, "subgroup")}</li>
          {may("user.view", gid) && (
            <li>
              <Link to={`/history?group=${gid}`}>History of this group</Link>
            </li>
          )}
        </Content>
        <Content component="p" className="v-space-above">
          You (<bdi>{session.present?.name}</bdi>) have these permissions here, inherited ones included:
        </Content>
        <Held permissions={group.permissions} words={!may("user.assign", gid)} />
      </CardBody>
    </Card>
  );
}
