/** How a guest is logged in to by SSH. */
import type { Interface, VmInfo } from "@/api/schema";

const SSH_PORT = 22;
const isLocal = (address: string): boolean => /^(localhost|127\..*|\[?::1\]?)$/.test(address);

/**
 * The command by which one logs in; undefined: as far as is known, nothing leads there. `server`: as the page is
 * reached, which tells whether one sits at the host, where NAT's addresses lead as well.
 */
export function sshCommand(info: SshInfo, server: string): string | undefined {
  const { cloud_init: made, nics, interfaces, forwards, waiting } = info;
  const here = isLocal(server);
  const own = interfaces.find(
    (one, index) => (nics[index]?.type === "BRIDGE" || (here && one.nat !== "USER")) && inUse(one),
  );
  const forward = waiting.includes("forwards")
    ? undefined
    : forwards.find(
        (one) => one.guest_port === SSH_PORT && one.protocol !== "udp" && (here || !isLocal(one.host_address ?? "")),
      );
  if (!made.user && !forward) return undefined; // an ISO's guest rarely has a server for it
  const user = made.user ? `${made.user}@` : "";
  if (forward) return `ssh -p ${forward.host_port} ${user}${forward.host_address ?? server}`;
  return own && `ssh ${user}${inUse(own)}`;
}

type SshInfo = Pick<VmInfo, "nics" | "interfaces" | "forwards" | "cloud_init" | "waiting">;
/** An address that somebody has heard the guest use: one that is only reserved may lead nowhere. */
const inUse = (one: Interface): string | undefined =>
  one.known_addresses?.find(({ source }) => source !== "lease")?.address;
