/** The media pools that a group may use: what it may do there, how much of its quota is used, and who passed it on. */
import { Button, Card, CardBody, CardHeader, CardTitle, Content } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useState } from "react";
import { call } from "@/api/call";
import { useMay } from "@/api/live";
import { useAnswer } from "@/api/queries";
import type { PoolInfo } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { Confirm } from "@/ui/Confirm";
import { Failed } from "@/ui/Failed";
import { bytes } from "@/ui/format";
import { ROOT, useGroupPath } from "@/ui/groups";
import { Tag } from "@/ui/labels";
import { idWord } from "@/ui/vmCli";
import { Bar } from "./Bar";
import { groupWord } from "./commands";
import { PoolDialog } from "./PoolDialog";
import { whereWords } from "./poolWords";
import { again } from "./QuotaDialog";

export function Pools({ gid, parent }: { gid: number; parent: number }) {
  const may = useMay();
  const [wish, setWish] = useState<{ change?: PoolInfo; revoke?: PoolInfo }>();
  const { data, error, refetch } = useAnswer("post", "/m/pool/list", { gid }, { topics: ["pool"] });
  const assign = may("pool.assign", gid) && gid !== ROOT;
  const acts = gid !== ROOT && (assign || may("pool.revoke", gid));
  const close = () => setWish(undefined);
  return (
    <Card isCompact>
      <CardHeader
        actions={
          assign && data
            ? {
                actions: (
                  <Button variant="link" isInline onClick={() => setWish({})}>
                    Assign a pool
                  </Button>
                ),
              }
            : undefined
        }
      >
        <CardTitle component="h3">Pools</CardTitle>
      </CardHeader>
      <CardBody>
        {error ? (
          <Failed error={error} what="The pools" again={() => void refetch()} />
        ) : data?.pools.length === 0 ? (
          <Content component="p" className="v-subtle">
            No pool is assigned: the group cannot have media of its own yet.
          </Content>
        ) : (
          <Table role="table" aria-label="Pools" variant="compact" gridBreakPoint="grid-xl">
            <Thead>
              <Tr>
                <Th>Pool</Th>
                <Th modifier="nowrap">The group may</Th>
                <Th width={40}>Used</Th>
                <Th modifier="nowrap">Free on disk</Th>
                {acts && <Th screenReaderText="Actions" />}
              </Tr>
            </Thead>
            <Tbody>
              {data?.pools.map((pool) => (
                <Tr key={pool.mpid}>
                  <Td dataLabel="Pool" className="v-name">
                    <bdi>{pool.name}</bdi>
                    <Where pool={pool} />
                  </Td>
                  <Td dataLabel="The group may">
                    <Rights pool={pool} />
                  </Td>
                  <Td dataLabel="Used">
                    <Used pool={pool} />
                  </Td>
                  <Td dataLabel="Free on disk" modifier="nowrap">
                    {pool.state === "away" ? <State pool={pool} /> : bytes(pool.free)}
                    {pool.state === "readonly" && <State pool={pool} />}
                  </Td>
                  {acts && (
                    <Td>
                      <Actions
                        gid={gid}
                        pool={pool}
                        onChange={() => setWish({ change: pool })}
                        onRevoke={() => setWish({ revoke: pool })}
                      />
                    </Td>
                  )}
                </Tr>
              ))}
            </Tbody>
          </Table>
        )}
      </CardBody>
      {wish &&
        (wish.revoke ? (
          <Revoke gid={gid} pool={wish.revoke} onClose={close} />
        ) : (
          <PoolDialog
            gid={gid}
            parent={parent}
            assigned={data?.pools ?? []}
            {...(wish.change ? { pool: wish.change } : {})}
            onClose={close}
          />
        ))}
    </Card>
  );
}

export function Rights({ pool }: { pool: Pick<PoolInfo, "write" | "manage"> }) {
  return (
    <ul className="v-tags" aria-label="What the group may do in the pool">
      {["read", pool.write && "write", pool.manage && "manage"].filter(Boolean).map((one) => (
        <li key={String(one)}>
          <Tag>{one}</Tag>
        </li>
      ))}
    </ul>
  );
}

/** Nothing, where there is only one host. */
function Where({ pool }: { pool: Pick<PoolInfo, "host" | "hosts"> }) {
  const words = whereWords(pool);
  return words ? (
    <Content component="small" className="v-subtle">
      {words}
    </Content>
  ) : null;
}

function State({ pool }: { pool: PoolInfo }) {
  return (
    <Tag tone="warn" title={pool.message}>
      {pool.state === "away" ? "away" : "read-only"}
    </Tag>
  );
}

function Used({ pool }: { pool: PoolInfo }) {
  const left =
    pool.left !== undefined && pool.quota > 0 && pool.left < pool.quota - pool.used
      ? `${bytes(pool.left)} left, because of a group above.`
      : undefined;
  return (
    <>
      {pool.quota === 0 ? (
        <>
          {bytes(pool.used)} <span className="v-subtle">no limit</span>
        </>
      ) : (
        <Bar
          title=""
          label={`Used of ${pool.name}`}
          used={pool.used}
          limit={pool.quota}
          words={`${bytes(pool.used)} of ${bytes(pool.quota)}`}
        />
      )}
      {left && <Content component="small">{left}</Content>}
    </>
  );
}

/** Only what is assigned to the group itself can be taken away. */
function Actions({
  gid,
  pool,
  onChange,
  onRevoke,
}: {
  gid: number;
  pool: PoolInfo;
  onChange: () => void;
  onRevoke: () => void;
}) {
  const may = useMay();
  return (
    <span className="v-actions">
      {may("pool.assign", gid) && (
        <Button variant="link" isInline onClick={onChange} aria-label={`Change the assignment of ${pool.name}`}>
          Change
        </Button>
      )}
      {!pool.assigned ? (
        <span className="v-subtle">from above</span>
      ) : (
        may("pool.revoke", gid) && (
          <Button variant="link" isInline isDanger onClick={onRevoke} aria-label={`Revoke ${pool.name}`}>
            Revoke
          </Button>
        )
      )}
    </span>
  );
}

function Revoke({ gid, pool, onClose }: { gid: number; pool: PoolInfo; onClose: () => void }) {
  const act = useAction();
  const path = useGroupPath()(gid);
  const body = { gid, mpid: pool.mpid, revision: pool.revision };
  return (
    <Confirm
      title={`Revoke pool ${pool.name} from ${path}?`}
      verb="Revoke"
      cli={["velocity", "pool", "revoke", idWord(pool.mpid), groupWord(path, gid)]}
      request={{ method: "delete", path: "/m/pool/assign", body }}
      onConfirm={async () => {
        const done = await act({
          pending: `Revoking ${pool.name} from ${path}`,
          done: `${pool.name} is no longer assigned to ${path}`,
          do: () => call("delete", "/m/pool/assign", body),
        });
        await again("/m/pool/list");
        return done;
      }}
      onClose={onClose}
    >
      Its media in the pool remain ({bytes(pool.used)}), but neither it nor its subgroups can make or write to media
      there, unless a group above passes the pool on.
    </Confirm>
  );
}
