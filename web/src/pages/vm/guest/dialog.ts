/** What each dialog about the inside of a guest is given. */
import type { Vm } from "@/api/live";
import type { GuestInfo } from "@/api/schema";

export interface OfGuest {
  vm: Vm;
  /** What the guest said of itself last. */
  told: GuestInfo;
  onClose: () => void;
}
