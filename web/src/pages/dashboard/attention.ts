/** What a person should look at first, the worst before the rest. */
import type { Vm } from "@/api/live";
import type { HostInfo, TaskInfo } from "@/api/schema";
import { bytes, mib } from "@/ui/format";
import { vmProblem } from "@/ui/vmProblem";
import { titleOf } from "../tasks/words";
import { type PoolUsage, share } from "./poolUsage";

export interface Matter {
  key: string;
  danger: boolean;
  title: string;
  message: string;
  to: string;
  /** The VM that could be started to have it over. */
  start?: Vm;
  /** Seen is enough: it can be put away. */
  task?: number;
}

/** From here on a pool or a quota is nearly full. */
const NEARLY = 0.9;
const SCARCE_MEMORY = 0.05;

export function matters(
  vms: readonly Vm[],
  tasks: readonly TaskInfo[],
  rooms: readonly PoolUsage[],
  host?: HostInfo,
): Matter[] {
  const all = [
    ...vms.flatMap(ofVm),
    ...rooms.flatMap(ofRoom),
    ...(host ? ofHost(host) : []),
    ...tasks.filter((task) => task.state === "FAILED").map(ofTask),
  ];
  return [...all.filter((one) => one.danger), ...all.filter((one) => !one.danger)];
}

function ofVm(vm: Vm): Matter[] {
  const to = `/vms/${vm.vmid}`;
  const why = vmProblem(vm);
  const missing = vm.wanted === "RUNNING" && vm.state === "STOPPED";
  if (missing)
    return [
      {
        key: `vm-${vm.vmid}`,
        danger: true,
        title: `${vm.name} is wanted, but not running`,
        message: vm.reason?.message ?? "It should be running, but is not.",
        to,
        start: vm,
      },
    ];
  return why ? [{ key: `vm-${vm.vmid}`, danger: true, title: `${vm.name} has a problem`, message: why, to }] : [];
}

function ofRoom(room: PoolUsage): Matter[] {
  if (room.problem)
    return [
      {
        key: `room-${room.key}`,
        danger: true,
        title: `${room.name} has a problem`,
        message: room.problem,
        to: "/media",
      },
    ];
  const full = share(room);
  if (full < NEARLY) return [];
  const left = Math.max(0, room.size - room.used);
  return [
    {
      key: `room-${room.key}`,
      danger: left === 0,
      title: left === 0 ? `${room.name} is full` : `${room.name} is nearly full`,
      message: `${bytes(left)} of ${bytes(room.size)} left. ${
        room.quota
          ? "Delete media, or ask for more quota."
          : "Guests are paused when it is full: delete media or empty the trash."
      }`,
      to: "/media",
    },
  ];
}

function ofHost(host: HostInfo): Matter[] {
  if (host.memory_free_mib > SCARCE_MEMORY * host.memory_mib) return [];
  return [
    {
      key: "memory",
      danger: false,
      title: "The host's memory is nearly used up",
      message: `${mib(host.memory_free_mib)} of ${mib(host.memory_mib)} are left: further VMs may not start.`,
      to: "/vms",
    },
  ];
}

const ofTask = (task: TaskInfo): Matter => ({
  key: `task-${task.tid}`,
  danger: false,
  title: `${titleOf(task)} failed`,
  message: task.message ?? "It failed without a message.",
  to: "/tasks",
  task: task.tid,
});
