/** Uploads that are under way elsewhere, or were interrupted: how far they have come, and how to end them. */
import { Button, Card, CardBody, CardTitle, Content, Flex, FlexItem } from "@patternfly/react-core";
import { useEffect, useState } from "react";
import { call } from "@/api/call";
import { useObjects } from "@/api/live";
import { useAnswer } from "@/api/queries";
import type { UploadInfo } from "@/api/schema";
import { useUploads } from "@/api/upload";
import { useAction } from "@/ui/actions";
import { Confirm } from "@/ui/Confirm";
import { bytes } from "@/ui/format";
import { useGroupsWhere } from "@/ui/groups";
import { idWord } from "@/ui/vmCli";
import { When } from "@/ui/When";

/** Milliseconds between two looks at uploads of which bytes come. That one begins or ends is told by its pool. */
const LOOK = 5000;

export function UnderWay() {
  const groups = useObjects("group");
  const seen = new Set(useGroupsWhere("media.list").map((one) => one.gid));
  const tops = groups.filter((one) => seen.has(one.gid) && (one.gid === one.parent_gid || !seen.has(one.parent_gid)));
  return tops.map((one) => <OfGroup key={one.gid} gid={one.gid} />);
}

/** Those into a group and all below it, but for this page's own. */
function OfGroup({ gid }: { gid: number }) {
  const { data, refetch } = useAnswer("post", "/m/media/upload", { gid }, { topics: ["pool"] });
  const own = useUploads();
  const users = useObjects("user");
  const [asked, setAsked] = useState<UploadInfo>();
  const act = useAction();
  const here = (one: UploadInfo) =>
    own.some(({ wanted }) => wanted.gid === one.gid && wanted.mpid === one.mpid && wanted.name === one.name);
  const all = (data?.uploads ?? []).filter((one) => !here(one));
  const moves = all.some((one) => one.sending);
  useEffect(() => {
    if (!moves) return;
    const timer = setInterval(() => void refetch(), LOOK);
    return () => clearInterval(timer);
  }, [moves, refetch]);
  if (all.length === 0) return null;
  return (
    <Card isCompact className="v-uploads" component="section" aria-label="Uploads elsewhere">
      <CardTitle component="h2">Uploads elsewhere</CardTitle>
      <CardBody>
        {all.map((one) => (
          <Flex key={one.mid} justifyContent={{ default: "justifyContentSpaceBetween" }}>
            <FlexItem>
              <bdi>{one.name}</bdi>: {bytes(one.received)} of {bytes(one.size)},{" "}
              {one.sending ? "being sent" : "waiting for the rest"}, by{" "}
              {users.find((user) => user.uid === one.uid)?.name ?? `user ${one.uid}`}, begun <When at={one.begun} />
            </FlexItem>
            <FlexItem>
              <Button variant="link" size="sm" isDanger onClick={() => setAsked(one)}>
                Cancel<span className="v-hidden-text"> {one.name}</span>
              </Button>
            </FlexItem>
          </Flex>
        ))}
      </CardBody>
      {asked && (
        <Confirm
          title={`Cancel the upload of ${asked.name}?`}
          verb="Cancel the upload"
          no="Keep uploading"
          cli={["velocity", "media", "cancel", idWord(asked.mid)]}
          request={{ method: "delete", path: "/m/media/upload", body: { mid: asked.mid } }}
          onConfirm={() =>
            act({
              pending: `Cancelling the upload of ${asked.name}`,
              done: "Upload cancelled",
              do: () => call("delete", "/m/media/upload", { mid: asked.mid }).finally(() => void refetch()),
            })
          }
          onClose={() => setAsked(undefined)}
        >
          <Content component="p">The server discards what it has of the file, and tells the sender.</Content>
        </Confirm>
      )}
    </Card>
  );
}
