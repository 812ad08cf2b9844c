/** The first that one wants to know of a VM: how it is and since when, where it is reached, what it has. */
import { Card, CardBody, CardHeader, CardTitle, DescriptionList } from "@patternfly/react-core";
import { Link } from "react-router";
import { useMay, type Vm } from "@/api/live";
import type { VmInfo } from "@/api/schema";
import { cloudInitWords } from "@/ui/cloudInit";
import { Fact } from "@/ui/Fact";
import { mib, moment, uptime } from "@/ui/format";
import { HostName } from "@/ui/HostName";
import { word } from "@/ui/labels";
import { NAMES } from "@/ui/texts/names";
import { asSentence } from "@/ui/texts/words";
import { waitingWords } from "@/ui/vmSettings";
import { useNow, When } from "@/ui/When";
import { Address, Copied } from "./Network";
import { reachOf } from "./reach";
import { sshCommand } from "./ssh";

/** `since`: when its run began, as far as that is known. */
export function Facts({ vm, info, since }: { vm: Vm; info: VmInfo; since: number | undefined }) {
  const mayAlter = useMay()("vm.alter", vm.gid);
  const ssh = vm.state === "STOPPED" ? undefined : sshCommand(info, location.hostname);
  const addresses = reachOf(info).flatMap((one, place) => one.addresses.map((known) => ({ ...known, nic: place + 1 })));
  return (
    <Card component="section" aria-label="Virtual machine">
      <CardHeader
        actions={{
          hasNoOffset: true,
          actions: <Link to={`/vms/${vm.vmid}/settings`}>{mayAlter ? "Change" : "Show all"}</Link>,
        }}
      >
        <CardTitle component="h2">Virtual machine</CardTitle>
      </CardHeader>
      <CardBody>
        <DescriptionList isHorizontal isCompact>
          <Fact name="State">
            <Lasting vm={vm} since={since} />
          </Fact>
          {info.host && (
            <Fact name="Host">
              <HostName host={info.host} />
            </Fact>
          )}
          {addresses.length > 0 && (
            <Fact name={addresses.length === 1 ? "Address" : "Addresses"}>
              {addresses.map(({ nic, ...known }) => (
                <Address
                  key={`${nic} ${known.address}`}
                  {...known}
                  brief
                  nic={info.nics.length > 1 ? `NIC ${nic}` : undefined}
                />
              ))}
            </Fact>
          )}
          {ssh !== undefined && (
            <Fact name="SSH">
              <Copied text={ssh} name="the command that logs in" />
            </Fact>
          )}
          <Fact name="CPUs">
            {info.max_cpus > info.cpus ? `${info.cpus}, up to ${info.max_cpus} while it runs` : info.cpus}
          </Fact>
          <Fact name="Memory">
            {mib(info.memory_mib)}
            {info.max_memory_mib > info.memory_mib && `, up to ${mib(info.max_memory_mib)} while it runs`}
          </Fact>
          {vm.waiting.length > 0 && (
            <Fact name="At the next start">
              {waitingWords(vm.waiting)}
              {Object.entries(info.waits ?? {}).map(([field, why]) => (
                <div key={field} className="v-subtle v-breaks">
                  {asSentence(why, NAMES)}
                </div>
              ))}
            </Fact>
          )}
          <Fact name="Starts with the server">{info.autostart ? "Yes" : "No"}</Fact>
          <Fact name="Restart after a failure">{info.ha === "restart" ? "Yes" : "No"}</Fact>
          {info.start_order > 0 && <Fact name="Start order">{info.start_order}</Fact>}
          {cloudInitWords(info.cloud_init) !== "none" && (
            <Fact name="Log in (cloud-init)">{cloudInitWords(info.cloud_init)}</Fact>
          )}
          {info.created !== undefined && (
            <Fact name="Created">
              <When at={info.created} />
            </Fact>
          )}
          {info.notes && (
            <Fact name="Notes">
              <span className="v-breaks v-lines-kept">{info.notes}</span>
            </Fact>
          )}
        </DescriptionList>
      </CardBody>
    </Card>
  );
}

function Lasting({ vm, since }: { vm: Vm; since: number | undefined }) {
  const now = useNow();
  if (vm.unreachable_since !== undefined)
    return (
      <>
        {word(vm.state)} when it was last heard, <When at={vm.unreachable_since} />
      </>
    );
  if (vm.state !== "STOPPED" && since !== undefined)
    return (
      <span title={`Since ${moment(since)}`}>
        {word(vm.state)}
        {vm.state === "RUNNING" ? " for " : ", up for "}
        <time dateTime={new Date(since * 1000).toISOString()}>{uptime(Math.max(0, now - since))}</time>
      </span>
    );
  if (!vm.reason) return <>{word(vm.state)}</>;
  return (
    <>
      {word(vm.state)} <When at={vm.reason.since} />
    </>
  );
}
