/** A VM's NICs: their addresses and MAC addresses to copy, and who does not reach it. */
import { Button, Card, CardBody, CardHeader, CardTitle } from "@patternfly/react-core";
import { useState } from "react";
import { Link } from "react-router";
import { AlterVm } from "@/api/limits";
import { useMay } from "@/api/live";
import type { KnownAddress, VmInfo } from "@/api/schema";
import { Icon } from "@/look/Icon";
import { AddressText } from "@/ui/AddressText";
import { RESERVED_HINT } from "@/ui/addresses";
import { CopyButton } from "@/ui/CopyButton";
import { forwardText } from "@/ui/forwards";
import { useHostNics } from "@/ui/useHostNics";
import { AddNic } from "./AddNic";
import { leadsWords, notReached, reachOf, SOURCES } from "./reach";

export function Network({ info }: { info: VmInfo }) {
  const mayAlter = useMay()("vm.alter", info.gid);
  const mayAdd = mayAlter && info.nics.length < AlterVm.nics.maxItems;
  const [adding, setAdding] = useState<{ bridged: boolean }>();
  const lacking = notReached(info);
  const bridges = useHostNics().nics.length > 0;
  return (
    <Card component="section" aria-label="Network">
      <CardHeader
        actions={
          mayAdd
            ? {
                hasNoOffset: true,
                actions: (
                  <Button variant="link" isInline onClick={() => setAdding({ bridged: false })}>
                    Add a NIC
                  </Button>
                ),
              }
            : undefined
        }
      >
        <CardTitle component="h2">Network</CardTitle>
      </CardHeader>
      <CardBody>
        {info.nics.length > 0 && (
          <ul className="v-plain-list">
            {reachOf(info).map((one, index) => (
              <li key={one.id} className="v-nic">
                <Link to={`/vms/${info.vmid}/settings#nic-${index}-type`} className="v-device">
                  <Icon name="nic" />
                  NIC {index + 1}: {one.what}
                </Link>
                {one.addresses.map((known) => (
                  <Address key={known.address} {...known} />
                ))}
                <span>
                  <span className="v-subtle">MAC </span>
                  <Copied text={one.mac} name={`MAC address ${one.mac}`} quiet />
                </span>
              </li>
            ))}
          </ul>
        )}
        {info.forwards.length > 0 && (
          <ul className="v-plain-list v-space-above" aria-label="Port forwards">
            {info.forwards.map((one, index) => (
              <li key={forwardText(one)}>
                <Link to={`/vms/${info.vmid}/settings#forward-${index}-host_port`}>{leadsWords(one)}</Link>
              </li>
            ))}
          </ul>
        )}
        {lacking && (
          <p className={info.nics.length > 0 ? "v-subtle v-space-above" : "v-subtle"}>
            {lacking}
            {info.nics.length > 0 && mayAdd && (
              <>
                {" "}
                To reach it, <Link to={`/vms/${info.vmid}/settings#forwards`}>forward a port</Link>
                {bridges && (
                  <>
                    {" "}
                    or{" "}
                    <Button variant="link" isInline onClick={() => setAdding({ bridged: true })}>
                      add a bridged NIC
                    </Button>
                  </>
                )}
                .
              </>
            )}
          </p>
        )}
      </CardBody>
      {adding && <AddNic info={info} {...adding} onClose={() => setAdding(undefined)} />}
    </Card>
  );
}

/** With how it is known, in brief only that it is reserved; muted while nobody has heard the guest use it. */
export function Address({
  address,
  source,
  brief = false,
  nic,
}: KnownAddress & { brief?: boolean; nic?: string | undefined }) {
  const reserved = source === "lease";
  return (
    <span className="v-address" title={reserved ? RESERVED_HINT : undefined}>
      <Copied text={address} name={`address ${address}`} quiet={reserved} />
      {nic && <span className="v-subtle"> {nic}</span>}
      {(reserved || !brief) && <span className="v-subtle"> {SOURCES[source]}</span>}
    </span>
  );
}

export function Copied({ text, name, quiet }: { text: string; name: string; quiet?: boolean }) {
  return (
    <span className={quiet ? "v-copied v-subtle" : "v-copied"}>
      <code>
        <AddressText text={text} />
      </code>
      <CopyButton text={text} name={name} />
    </span>
  );
}
