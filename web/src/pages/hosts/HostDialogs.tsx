/** What is asked before something is done with a host. */
import type { NodeInfo } from "@/api/schema";
import { AddHost } from "./AddHost";
import { ChangeDuty } from "./ChangeDuty";
import { EditHost } from "./EditHost";
import { KeepCopy } from "./KeepCopy";
import { ProveDead } from "./ProveDead";
import { RemoveHost } from "./RemoveHost";
import { SetFence } from "./SetFence";
import type { HostWish } from "./words";

interface Props {
  host: NodeInfo;
  /** All of them. */
  hosts: readonly NodeInfo[];
  wish: HostWish;
  onClose: () => void;
}

export function HostDialog({ host, hosts, wish, onClose }: Props) {
  switch (wish) {
    case "edit":
      return <EditHost host={host} onClose={onClose} />;
    case "copy":
      return <KeepCopy host={host} onClose={onClose} />;
    case "again":
      return <AddHost hosts={hosts} again={host} onClose={onClose} />;
    case "remove":
      return <RemoveHost host={host} onClose={onClose} />;
    case "confirm":
    case "fence":
    case "blocklist":
      return <ProveDead host={host} how={wish} onClose={onClose} />;
    case "fencing":
      return <SetFence host={host} onClose={onClose} />;
    default:
      return <ChangeDuty host={host} alone={hosts.length < 2} change={wish} onClose={onClose} />;
  }
}
