/** A VM's addresses: those that its guest was heard to use, and those that NAT only keeps for it. */
import type { Vm } from "@/api/live";

export const RESERVED = "reserved";
export const RESERVED_HINT = "NAT reserves this address for the VM. The guest has not been seen using it yet.";

type Has = Pick<Vm, "addresses" | "reserved">;

export const isReserved = ({ reserved }: Has, address: string): boolean => reserved?.includes(address) ?? false;

/** The one to tell where there is room for one: in use, if there is such. */
export const mainAddress = (vm: Has): string | undefined =>
  vm.addresses?.find((one) => !isReserved(vm, one)) ?? vm.addresses?.[0];

/** "10.9.16.2", "10.9.16.2 (reserved)". */
export const addressWords = (vm: Has, address: string): string =>
  isReserved(vm, address) ? `${address} (${RESERVED})` : address;
