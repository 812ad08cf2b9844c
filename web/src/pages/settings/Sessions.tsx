/** Where one is signed in; what one does not know can be ended. */
import { Button, Card, CardBody, CardTitle, Content } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { call } from "@/api/call";
import { queries, useAnswer } from "@/api/queries";
import { useAction } from "@/ui/actions";
import { Failed } from "@/ui/Failed";
import { ago, moment } from "@/ui/format";
import { Tag } from "@/ui/labels";

export function Sessions() {
  const { data, error, refetch } = useAnswer("post", "/u/session/list", {}, { topics: ["session"] });
  const act = useAction();
  const end = async (sid: string) => {
    await act({
      pending: "Ending the session",
      done: "Session ended",
      do: () => call("delete", "/u/session", { sid }),
    });
    await queries.invalidateQueries({ queryKey: ["/u/session/list"] });
  };
  return (
    <Card>
      <CardTitle component="h2">Where you are signed in</CardTitle>
      <CardBody>
        {error && <Failed error={error} what="Your sessions" again={() => void refetch()} />}
        {data && (
          <Table role="table" aria-label="Your sessions" variant="compact" gridBreakPoint="grid-md">
            <Thead>
              <Tr>
                <Th>Program</Th>
                <Th>From</Th>
                <Th>Since</Th>
                <Th>Ends</Th>
                <Th screenReaderText="Actions" />
              </Tr>
            </Thead>
            <Tbody>
              {data.sessions.map((one) => (
                <Tr key={one.sid}>
                  <Td dataLabel="Program" modifier="breakWord">
                    {program(one.agent)} {one.current && <Tag tone="ok">this one</Tag>}
                  </Td>
                  <Td dataLabel="From">{one.address}</Td>
                  <Td dataLabel="Since">{moment(one.created)}</Td>
                  <Td dataLabel="Ends">{ago(one.expires)}</Td>
                  <Td isActionCell>
                    {!one.current && (
                      <Button
                        variant="link"
                        isDanger
                        onClick={() => void end(one.sid)}
                        aria-label={`End the session of ${program(one.agent)} since ${moment(one.created)}`}
                      >
                        End
                      </Button>
                    )}
                  </Td>
                </Tr>
              ))}
            </Tbody>
          </Table>
        )}
        <Content component="small" className="v-subtle">
          Sessions that are used are renewed; idle ones end.
        </Content>
      </CardBody>
    </Card>
  );
}

const BROWSERS = ["Edg", "OPR", "Firefox", "Chrome", "Safari"];

/** A browser's name out of all that it calls itself. */
export function program(agent: string): string {
  if (!agent.startsWith("Mozilla/")) return agent || "an unnamed program";
  const found = BROWSERS.find((name) => agent.includes(`${name}/`));
  const name = { Edg: "Edge", OPR: "Opera" }[found ?? ""] ?? found ?? "a browser";
  const system = /\(([^;)]+)/.exec(agent)?.[1] ?? "";
  return /Headless/.test(agent) ? `${name} (headless)` : system ? `${name}, ${system}` : name;
}
