/** What a VM takes of the host, from the past hour to the past year: measured by the server, asked for while it is looked at. */
import {
  Card,
  CardBody,
  CardHeader,
  CardTitle,
  Content,
  EmptyState,
  EmptyStateBody,
  ExpandableSection,
  Flex,
  ToggleGroup,
  ToggleGroupItem,
} from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { Suspense, useMemo, useState } from "react";
import type { Vm } from "@/api/live";
import type { VmMetrics } from "@/api/schema";
import { readStored, writeStored } from "@/api/stored";
import { Failed } from "@/ui/Failed";
import { moment } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { part } from "@/ui/part";
import { useVmInfo } from "../useVmInfo";
import { type Chart, chartsOf, gaps, rowsOf, summary } from "./series";
import { emptySpans, hasMore, SPAN_WORDS, SPANS, type Span } from "./spans";
import { useDark } from "./useDark";
import { useVmMetrics } from "./useVmMetrics";

const ChartView = part(() => import("./ChartView"));
const ROWS = 40;

export default function Metrics({ vm }: { vm: Vm }) {
  const [span, setSpan] = useState<Span>(() => readStored("metrics.span", "hour"));
  const metrics = useVmMetrics(vm.vmid, span);
  const unseen = useVmInfo(vm).data?.interfaces.some((one) => one.nat === "USER") ?? false;
  const choose = (chosen: Span) => {
    setSpan(chosen);
    writeStored("metrics.span", chosen);
  };
  return (
    <>
      <Flex alignItems={{ default: "alignItemsCenter" }} gap={{ default: "gapSm" }}>
        <ToggleGroup aria-label="Time span">
          {SPANS.map((one) => (
            <ToggleGroupItem
              key={one}
              text={SPAN_WORDS[one]}
              buttonId={`span-${one}`}
              isSelected={span === one}
              isDisabled={span !== one && !hasMore(one, metrics.data)}
              onChange={() => choose(one)}
            />
          ))}
        </ToggleGroup>
        {metrics.data && metrics.data.at.length > 0 && <small className="v-subtle">{emptySpans(metrics.data)}</small>}
      </Flex>
      <div className="v-space-above">
        {metrics.isError && <Failed error={metrics.error} what="The metrics" again={() => void metrics.refetch()} />}
        {metrics.isPending && <Loading />}
        {metrics.data && (
          <Measured
            metrics={metrics.data}
            span={span}
            cpus={vm.cpus}
            stopped={vm.state === "STOPPED"}
            unseen={unseen}
          />
        )}
      </div>
    </>
  );
}

function Measured({
  metrics,
  span,
  cpus,
  stopped,
  unseen,
}: {
  metrics: VmMetrics;
  span: Span;
  cpus: number;
  stopped: boolean;
  unseen: boolean;
}) {
  const dark = useDark();
  const charts = useMemo(() => chartsOf(metrics, cpus, unseen), [metrics, cpus, unseen]);
  const missing = gaps(metrics);
  if (metrics.at.length === 0)
    return (
      <EmptyState titleText="Nothing measured yet" headingLevel="h2" variant="sm">
        <EmptyStateBody>
          {stopped ? "VMs are measured while they run." : "The first measurement appears within ten seconds."}
        </EmptyStateBody>
      </EmptyState>
    );
  return (
    <>
      <div className="v-charts">
        {charts.map((chart) => (
          <Card key={chart.id} isCompact>
            <CardHeader>
              <CardTitle component="h2">{chart.title}</CardTitle>
              <span className="v-subtle">{chart.unit}</span>
            </CardHeader>
            <CardBody>
              <Suspense fallback={<Loading />}>
                <ChartView chart={chart} at={metrics.at} span={span} dark={dark} />
              </Suspense>
              {chart.lines.map((line) => (
                <Content key={line.title} component="small" className="v-subtle">
                  {chart.lines.length > 1 && `${line.title}: `}
                  {summary(line, chart.show)}
                </Content>
              ))}
            </CardBody>
          </Card>
        ))}
      </div>
      {missing && (
        <Content component="p" className="v-subtle v-space-above">
          {metrics.running_since === undefined
            ? `Nothing was measured for ${missing} of this time: the VM or the server was not running.`
            : `Nothing was measured for ${missing} since the VM's start: the server was not running, or the VM did not respond.`}
        </Content>
      )}
      {unseen && charts.length === 3 && (
        <Content component="p" className="v-subtle v-space-above">
          The traffic of user-mode NAT is not measured.
        </Content>
      )}
      <ExpandableSection toggleText="As a table" className="v-space-above">
        <Numbers charts={charts} at={metrics.at} />
      </ExpandableSection>
    </>
  );
}

function Numbers({ charts, at }: { charts: Chart[]; at: number[] }) {
  const columns = charts.flatMap((chart) => chart.lines.map((line) => ({ line, show: chart.show })));
  return (
    <Table role="table" variant="compact" aria-label="Measurements" gridBreakPoint="grid-md">
      <Thead>
        <Tr>
          <Th>Time</Th>
          {columns.map(({ line }) => (
            <Th key={line.title}>{line.title}</Th>
          ))}
        </Tr>
      </Thead>
      <Tbody>
        {rowsOf(at, ROWS).map((row) => (
          <Tr key={at[row]}>
            <Td dataLabel="Time">{moment(at[row] ?? 0)}</Td>
            {columns.map(({ line, show }) => {
              const value = line.values[row];
              return (
                <Td key={line.title} dataLabel={line.title}>
                  {value === null || value === undefined ? "–" : show(value)}
                </Td>
              );
            })}
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}
