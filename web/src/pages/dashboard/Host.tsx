/** The host: its CPUs, its memory, what accelerates guests. Measured when it is shown, and when VMs change. */
import {
  Alert,
  Button,
  Card,
  CardBody,
  CardHeader,
  CardTitle,
  DescriptionList,
  Progress,
  Skeleton,
} from "@patternfly/react-core";
import type { UseQueryResult } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import type { HostInfo } from "@/api/schema";
import { Icon } from "@/look/Icon";
import { Fact } from "@/ui/Fact";
import { Failed } from "@/ui/Failed";
import { count, duration, mib } from "@/ui/format";
import { Status } from "@/ui/labels";
import { When } from "@/ui/When";

const BUSY = 0.9;

/** `title`: its name, if absent. `told`: why there is no KVM stands elsewhere on the page. */
export function Host({
  asked,
  title,
  told = false,
}: {
  asked: UseQueryResult<HostInfo>;
  title?: string;
  told?: boolean;
}) {
  const { data: host, error, isPending, dataUpdatedAt, refetch } = asked;
  // not while it is measured again by itself
  const [wanted, setWanted] = useState(false);
  const again = () => {
    setWanted(true);
    void refetch().finally(() => setWanted(false));
  };
  return (
    <Card component="section" aria-labelledby="host">
      <CardHeader
        actions={{
          actions: (
            <>
              {host && (
                <small className="v-subtle">
                  measured <When at={dataUpdatedAt / 1000} />
                </small>
              )}
              <Button
                variant="plain"
                icon={<Icon name="refresh" />}
                isLoading={wanted}
                onClick={again}
                aria-label="Measure the host again"
              />
            </>
          ),
        }}
      >
        <CardTitle component="h2" id="host">
          {title ?? (
            <>
              Host <bdi>{host?.name}</bdi>
            </>
          )}
        </CardTitle>
      </CardHeader>
      <CardBody>
        {error && !host ? (
          <Failed error={error} what="The host" again={() => void refetch()} />
        ) : isPending || !host ? (
          <Skeleton height="8rem" screenreaderText="Measuring the host" />
        ) : (
          <Measured host={host} told={told} />
        )}
      </CardBody>
    </Card>
  );
}

function Measured({ host, told }: { host: HostInfo; told: boolean }) {
  const [now = 0, five = 0, fifteen = 0] = host.load;
  const used = host.memory_mib - host.memory_free_mib;
  const accelerated = host.accelerator !== "tcg";
  return (
    <>
      {host.cpu_use !== undefined && (
        <Bar title="CPU" value={host.cpu_use / 100} words={`of ${count(host.cpus, "CPU")}, over ten seconds`} />
      )}
      <Bar
        title="Memory"
        value={used / host.memory_mib}
        words={`${mib(host.memory_free_mib)} free of ${mib(host.memory_mib)}`}
      />
      <DescriptionList isCompact isHorizontal isFluid className="v-space-above">
        <Fact name="Acceleration">
          <Status tone={accelerated ? "ok" : "warn"}>{host.accelerator.toUpperCase()}</Status>
          {!told && <small className="v-request v-subtle">{host.accelerator_reason}</small>}
        </Fact>
        <Fact name="Load average">
          {[now, five, fifteen].map((one) => one.toFixed(2)).join(", ")}{" "}
          <span className="v-subtle">over 1, 5 and 15 min</span>
        </Fact>
        <Fact name="Hypervisor">{host.hypervisor}</Fact>
        <Fact name="Velocity">
          {host.version}, host up for {duration(host.uptime)}
        </Fact>
      </DescriptionList>
      {host.unknown_guests.map(({ uuid }) => (
        <Alert
          key={uuid}
          variant="warning"
          isInline
          isPlain
          title={`The guest ${uuid} is running, but belongs to no VM.`}
        >
          Its VM may be missing because an older database was restored. <code>velocity doctor</code> on the host names
          its process.
        </Alert>
      ))}
    </>
  );
}

interface BarProps {
  title: ReactNode;
  /** A share, which may be more than the whole. */
  value: number;
  words: string;
}

export function Bar({ title, value, words }: BarProps) {
  const share = Math.min(100, Math.round(100 * value));
  return (
    <Progress
      className="v-bar"
      title={title}
      value={share}
      label={`${Math.round(100 * value)}%`}
      valueText={`${Math.round(100 * value)}%: ${words}`}
      size="sm"
      variant={value >= 1 ? "danger" : value >= BUSY ? "warning" : undefined}
      helperText={words}
    />
  );
}
