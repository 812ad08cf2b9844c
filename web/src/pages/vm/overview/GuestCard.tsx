/** What the guest says of itself by its agent: its own word, shown as text. */
import { Card, CardBody, CardHeader, CardTitle, DescriptionList } from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { call } from "@/api/call";
import type { Vm } from "@/api/live";
import type { GuestInfo } from "@/api/schema";
import { Fact } from "@/ui/Fact";
import { bytes } from "@/ui/format";
import { NAMES } from "@/ui/texts/names";
import { asSentence } from "@/ui/texts/words";
import { When } from "@/ui/When";
import { GuestMenu } from "../guest/GuestMenu";
import { Copied } from "./Network";

/** Milliseconds between two looks. */
const EVERY = 30_000;

export function GuestCard({ vm }: { vm: Vm }) {
  const asked = useQuery<GuestInfo>({
    queryKey: ["/v/vm/guest", vm.vmid, vm.state],
    queryFn: () => call("post", "/v/vm/guest", { vmid: vm.vmid }),
    refetchInterval: EVERY,
    refetchIntervalInBackground: false,
  });
  const told = asked.data;
  return (
    <Card component="section" aria-label="Guest">
      <CardHeader
        actions={
          told?.agent === undefined ? undefined : { hasNoOffset: true, actions: <GuestMenu vm={vm} told={told} /> }
        }
      >
        <CardTitle component="h2">Guest</CardTitle>
      </CardHeader>
      <CardBody>
        {told?.agent === undefined ? (
          <span className="v-subtle">
            {told?.why
              ? asSentence(told.why.replace(/^VM \d+: /, ""), NAMES)
              : asked.isError
                ? "The guest agent could not be asked."
                : "Asking the guest agent…"}
          </span>
        ) : (
          <Told told={told} />
        )}
      </CardBody>
    </Card>
  );
}

function Told({ told }: { told: GuestInfo }) {
  return (
    <DescriptionList isHorizontal isCompact>
      {told.hostname && <Fact name="Host name">{own(told.hostname)}</Fact>}
      {told.os && <Fact name="System">{own(told.os)}</Fact>}
      {told.kernel && <Fact name="Kernel">{own(told.kernel)}</Fact>}
      {told.nics && (
        <Fact name="Addresses">
          {told.nics.flatMap((nic) =>
            nic.addresses.map((address) => (
              <Copied key={`${nic.name} ${address}`} text={bare(address)} name={`address ${bare(address)}`} />
            )),
          )}
        </Fact>
      )}
      {told.filesystems && (
        <Fact name="File systems">
          <ul className="v-plain-list">
            {told.filesystems.map((one) => (
              <li key={one.mountpoint}>
                {own(one.mountpoint)}
                {one.used !== undefined &&
                  one.total !== undefined &&
                  `, ${bytes(one.used)} of ${bytes(one.total)} used`}
              </li>
            ))}
          </ul>
        </Fact>
      )}
      {told.users && told.users.length > 0 && (
        <Fact name="Logged in">
          <ul className="v-plain-list">
            {told.users.map((one) => (
              <li key={`${one.name} ${one.since}`}>
                {own(one.name)}
                {one.since !== undefined && (
                  <>
                    , <When at={one.since} />
                  </>
                )}
              </li>
            ))}
          </ul>
        </Fact>
      )}
      <Fact name="Agent">{own(told.agent ?? "")}</Fact>
    </DescriptionList>
  );
}

/** Its direction is its own: it turns none of the words around it. */
const own = (text: string): ReactNode => <bdi className="v-breaks">{text}</bdi>;

const bare = (address: string): string => address.replace(/\/.*/, "");
