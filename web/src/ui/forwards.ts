/** Host ports that are forwarded to a VM, as people and the command line write them. */
import { Forward as Limits } from "@/api/limits";
import type { Forward, ForwardInput } from "@/api/schema";

export const FORWARDS_HELP = "For example 2222:22, the host's port first; several with spaces between them.";

/** 2222:22, 127.0.0.1:2222:22, 5353:53/udp */
export function forwardText({ host_address, host_port, guest_port, protocol }: ForwardInput): string {
  const address = host_address ? `${host_address}:` : "";
  return `${address}${host_port}:${guest_port}${protocol === "udp" ? "/udp" : ""}`;
}

const FORM = /^(?:(\d{1,3}(?:\.\d{1,3}){3}):)?(\d{1,5}):(\d{1,5})(?:\/(tcp|udp))?$/i;
const ADDRESS = new RegExp(Limits.host_address.pattern);
const isPort = (port: number) => port >= Limits.host_port.minimum && port <= Limits.host_port.maximum;

/** Parses forwards separated by spaces or commas; undefined if one cannot be parsed. */
export function readForwards(text: string): Forward[] | undefined {
  const read = text
    .split(/[\s,]+/)
    .filter(Boolean)
    .map(readForward);
  return read.every((one) => one !== undefined) ? read : undefined;
}

function readForward(word: string): Forward | undefined {
  const [, host_address, host, guest, protocol] = FORM.exec(word) ?? [];
  const [host_port, guest_port] = [Number(host), Number(guest)];
  if (!isPort(host_port) || !isPort(guest_port) || (host_address && !ADDRESS.test(host_address))) return undefined;
  return {
    host_port,
    guest_port,
    protocol: protocol?.toLowerCase() === "udp" ? "udp" : "tcp",
    ...(host_address && { host_address }),
  };
}
