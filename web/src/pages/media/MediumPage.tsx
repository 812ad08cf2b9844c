/** One medium: what it is and takes, what it holds, which VMs use it, and what can be done with it. */

import {
  Alert,
  Button,
  Card,
  CardBody,
  CardHeader,
  CardTitle,
  DescriptionList,
  EmptyState,
  EmptyStateActions,
  EmptyStateBody,
  EmptyStateFooter,
} from "@patternfly/react-core";
import { useEffect, useState } from "react";
import { Link, useNavigate, useParams } from "react-router";
import { type Medium, useObject, usePools, useReady } from "@/api/live";
import type { MediumDetails } from "@/api/schema";
import { Icon } from "@/look/Icon";
import { CopyButton } from "@/ui/CopyButton";
import { Fact } from "@/ui/Fact";
import { bytes, moment } from "@/ui/format";
import { useGroupPath, useGroupsWhere } from "@/ui/groups";
import { LinkButton } from "@/ui/LinkButton";
import { Loading } from "@/ui/Loading";
import { mediumType, Status } from "@/ui/labels";
import { PageHead } from "@/ui/PageHead";
import { Section } from "@/ui/Section";
import { Sentence } from "@/ui/Sentence";
import { bootWords, canStart, formatWords } from "./content";
import { MediumActions } from "./MediumActions";
import { MediumDialog, type Wish } from "./MediumDialogs";
import { useMediumDetails } from "./useMediumDetails";
import { warningOf } from "./warning";

const TRAIL = [{ to: "/media", title: "Media" }];

export default function MediumPage() {
  const { mid = "" } = useParams();
  const medium = useObject("medium", mid);
  const [before, setBefore] = useState<Medium>();
  const ready = useReady();
  useEffect(() => {
    if (medium) setBefore(medium);
  }, [medium]);
  if (medium) return <Shown medium={medium} />;
  if (!ready) return <Loading />;
  return <Gone name={before?.mid === mid ? before.name : undefined} />;
}

function Shown({ medium }: { medium: Medium }) {
  const [wish, setWish] = useState<Wish>();
  const path = useGroupPath();
  const navigate = useNavigate();
  const mayMake = useGroupsWhere("media.create").length > 0;
  const mayAttach = useGroupsWhere("vm.alter").length > 0;
  const mayCreate = useGroupsWhere("vm.create").length > 0;
  return (
    <>
      <PageHead
        title={medium.name}
        trail={TRAIL}
        status={<State medium={medium} />}
        about={
          <>
            in <Link to={`/groups/${medium.gid}`}>{path(medium.gid)}</Link>
          </>
        }
        actions={
          <>
            {mayCreate && canStart(medium) && (
              <LinkButton to={`/create?image=${medium.mid}`} icon={<Icon name="plus" />}>
                Create a VM from it
              </LinkButton>
            )}
            {mayAttach && !medium.missing && (
              <Button variant="secondary" icon={<Icon name="vm" />} onClick={() => setWish("attach")}>
                Attach to a VM
              </Button>
            )}
            <MediumActions medium={medium} mayMake={mayMake} onWish={setWish} />
          </>
        }
      />
      <Section aria-label={medium.name}>
        {medium.missing && (
          <Alert component="p" isInline variant="danger" title="Its file is not in its pool">
            Bring the file back from a backup, or delete the medium.
          </Alert>
        )}
        {medium.content?.warning && (
          <Alert component="p" isInline variant="warning" title="What to know before attaching it">
            {warningOf(medium.content)}
          </Alert>
        )}
        <div className="v-cards v-cards-top">
          <Facts medium={medium} />
          <Use medium={medium} />
        </div>
      </Section>
      {wish && (
        <MediumDialog
          medium={medium}
          wish={wish}
          after={() => void navigate("/media")}
          onClose={() => setWish(undefined)}
        />
      )}
    </>
  );
}

function State({ medium }: { medium: Medium }) {
  const writer = medium.used_by.find((vm) => vm.writing);
  if (medium.missing) return <Status tone="bad">File missing</Status>;
  if (writer)
    return (
      <Status tone="ok">
        <span>
          Attached to <bdi>{writer.name}</bdi>
        </span>
      </Status>
    );
  if (medium.readonly) return <Status tone="off">Read-only</Status>;
  return <Status tone="off">{medium.used_by.length > 0 ? "Attached" : "Not attached"}</Status>;
}

/** What the list has, and what is asked of the file while this is shown. */
function Facts({ medium }: { medium: Medium }) {
  const pool = usePools().find((one) => one.mpid === medium.mpid);
  const { data } = useMediumDetails(medium);
  return (
    <Card component="section" aria-label="Medium">
      <CardHeader>
        <CardTitle component="h2">Medium</CardTitle>
      </CardHeader>
      <CardBody>
        <DescriptionList isHorizontal isCompact>
          <Fact name="Type">{mediumType(medium.type)}</Fact>
          <Fact name="Size">{bytes(medium.size)}</Fact>
          <Fact name="On disk">{bytes(medium.allocated)}</Fact>
          <Fact name="Holds">
            <span className="v-words">
              {formatWords(medium)}
              {medium.content?.label && <bdi className="v-subtle"> {medium.content.label}</bdi>}
            </span>
          </Fact>
          <Fact name="Boots">{bootsWords(medium, data)}</Fact>
          <Fact name="Writing">{medium.readonly ? "No: it is read-only" : "Allowed"}</Fact>
          <Fact name="Pool">{pool?.name ?? `pool ${medium.mpid}`}</Fact>
          <Fact name="File format">{fileWords(medium, data)}</Fact>
          {data?.modified !== undefined && <Fact name="Last written">{moment(data.modified)}</Fact>}
          {data?.busy && <Fact name="Now">It is {data.busy}</Fact>}
          <Fact name="ID">
            <span className="v-copied">
              <code>{medium.mid}</code>
              <CopyButton text={medium.mid} name={`the id of ${medium.name}`} />
            </span>
          </Fact>
        </DescriptionList>
      </CardBody>
    </Card>
  );
}

const bootsWords = (medium: Medium, details: MediumDetails | undefined): string => {
  if (details?.boots === true) return "Yes";
  if (details?.boots === false) return bootWords(medium) ?? "No";
  return "Not known";
};

function fileWords(medium: Medium, details: MediumDetails | undefined): string {
  const layout = details?.layout;
  const words = [
    medium.format,
    layout && `clusters of ${bytes(layout.cluster_size)}`,
    layout && layout.subcluster_size < layout.cluster_size && `subclusters of ${bytes(layout.subcluster_size)}`,
  ];
  return words.filter(Boolean).join(", ");
}

function Use({ medium }: { medium: Medium }) {
  return (
    <Card component="section" aria-label="Used by">
      <CardHeader>
        <CardTitle component="h2">Used by</CardTitle>
      </CardHeader>
      <CardBody>
        {medium.used_by.length === 0 ? (
          <span className="v-subtle">No VM</span>
        ) : (
          <DescriptionList isHorizontal isCompact>
            {medium.used_by.map((vm) => (
              <Fact key={vm.vmid} name={<Link to={`/vms/${vm.vmid}`}>{vm.name}</Link>}>
                {vm.writing ? "Running, may write to it" : "Attached"}
              </Fact>
            ))}
          </DescriptionList>
        )}
      </CardBody>
    </Card>
  );
}

function Gone({ name }: { name: string | undefined }) {
  return (
    <>
      <PageHead title={name ?? "No such medium"} trail={TRAIL} />
      <Section>
        <EmptyState
          headingLevel="h2"
          titleText={
            <Sentence>{name ? `${name} no longer exists` : "There is no such medium, or you may not view it"}</Sentence>
          }
        >
          <EmptyStateBody>Deleted media can be restored from the trash.</EmptyStateBody>
          <EmptyStateFooter>
            <EmptyStateActions>
              <LinkButton to="/media">All media</LinkButton>
              <LinkButton variant="link" to="/trash">
                Trash
              </LinkButton>
            </EmptyStateActions>
          </EmptyStateFooter>
        </EmptyState>
      </Section>
    </>
  );
}
