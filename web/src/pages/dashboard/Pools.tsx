/** Pools and quotas as bars: what is used, and what is left. */
import { Card, CardBody, CardTitle, Content } from "@patternfly/react-core";
import { Link } from "react-router";
import { Failed } from "@/ui/Failed";
import { Status } from "@/ui/labels";
import { Sentence } from "@/ui/Sentence";
import { Bar } from "./Host";
import { type PoolUsage, share } from "./poolUsage";

export function PoolBars({
  rooms,
  error,
  more = false,
  none = "No pool is assigned to your groups. Someone who manages them can assign one.",
}: {
  rooms: readonly PoolUsage[];
  error?: unknown;
  more?: boolean;
  none?: string;
}) {
  return (
    <Card component="section" aria-labelledby="pools">
      <CardTitle component="h2" id="pools">
        Pools
      </CardTitle>
      <CardBody>
        {rooms.map((room) =>
          room.problem === undefined ? (
            <Bar key={room.key} title={room.name} value={share(room)} words={room.words} />
          ) : (
            <div key={room.key} className="v-bar">
              <Status tone="bad">{room.name}</Status>
              <small className="v-request v-subtle">
                <Sentence>{room.words}</Sentence>
              </small>
            </div>
          ),
        )}
        {rooms.length === 0 && error === undefined && (
          <Content component="p" className="v-subtle">
            {none}
          </Content>
        )}
        {error !== undefined && <Failed error={error} what="A pool" />}
        {more && (
          <Content component="p">
            Pools of other groups are shown with <Link to="/groups">the groups</Link>.
          </Content>
        )}
      </CardBody>
    </Card>
  );
}
