/** What a person should look at first: what hurts most stands first. */
import type { Vm } from "@/api/live";
import type { HostInfo, HostSummary, TaskInfo } from "@/api/schema";
import { ago, bytes, capital, count, duration, mib, percent } from "@/ui/format";
import { vmProblem } from "@/ui/vmProblem";
import { titleOf } from "../tasks/words";
import { type PoolUsage, share } from "./poolUsage";

export interface Matter {
  key: string;
  danger: boolean;
  title: string;
  message: string;
  /** Where more of it is told; absent: here. */
  to?: string | undefined;
  /** The VM that could be started to have it over. */
  start?: Vm;
  /** Seen is enough: it can be put away, under this name. */
  dismiss?: string;
}

/** The page of a host; undefined: it is not for the person. */
type HostPath = (id: number) => string | undefined;

export const NO_KVM = "no-kvm";
/** From here on a pool or a quota is nearly full. */
const NEARLY = 0.9;
const SCARCE_MEMORY = 0.05;
/** Percent of all CPUs of the host. */
const BUSY = 95;
/** Days before its end that a certificate is to be renewed. */
const RENEW_DAYS = 14;

/**
 * In the order in which it hurts: hosts that are silent, what should run and does not, what will stop guests, what slows
 * all, the rest. What is so because a host is silent is told with it alone.
 */
export function matters(
  vms: readonly Vm[],
  tasks: readonly TaskInfo[],
  rooms: readonly PoolUsage[],
  host?: HostInfo,
  hostPath: HostPath = () => undefined,
  now = Date.now() / 1000,
): Matter[] {
  const silent = new Set(host?.hosts?.filter((one) => one.unreachable_since !== undefined).map((one) => one.id));
  const isSilent = (id: number | undefined) => id !== undefined && silent.has(id);
  const pools = rooms.filter((one) => !isSilent(one.host)).flatMap(ofRoom);
  const apart = vms.filter((one) => one.unreachable_since === undefined || !isSilent(one.host?.id));
  const worst = (one: Matter) => one.danger;
  const all = host ? [...ofCertificate(host, now), ...ofHost(host, hostPath)] : [];
  return [
    ...(host?.hosts ?? []).flatMap((one) => ofSilence(one, hostPath)),
    ...apart.flatMap(ofVm).sort((a, b) => Number(b.start !== undefined) - Number(a.start !== undefined)),
    ...[...pools, ...all].filter(worst),
    ...(host ? ofAcceleration(host) : []),
    ...[...pools, ...all].filter((one) => !worst(one)),
    ...tasks.filter((task) => task.state === "FAILED").map(ofTask),
  ];
}

/** The reason says what to do. */
function ofAcceleration({ accelerator, accelerator_reason }: HostInfo): Matter[] {
  if (accelerator !== "tcg") return [];
  return [
    {
      key: NO_KVM,
      danger: false,
      title: "No KVM: the host's processor does not run guests itself",
      message: `${capital(accelerator_reason)}. \`velocity doctor\` on the host looks again; then restart the server.`,
      dismiss: NO_KVM,
    },
  ];
}

function ofCertificate({ certificate_expires: expires }: HostInfo, now: number): Matter[] {
  if (expires === undefined || expires - now > RENEW_DAYS * 86_400) return [];
  const over = expires <= now;
  return [
    {
      key: "certificate",
      danger: over,
      title: over ? "The server's certificate has expired" : `The server's certificate expires ${ago(expires, now)}`,
      message: `${over ? "Clients refuse it" : "Clients refuse it then"}: renew the files of tls_cert and tls_key, and reload the server.`,
    },
  ];
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
        title: `${vm.name} should be running, but is not`,
        message: vm.reason ? capital(vm.reason.message) : "The server does not know why.",
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
        title: `Pool ${room.name} has a problem`,
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
      title: left === 0 ? `Pool ${room.name} is full` : `Pool ${room.name} is nearly full`,
      message: `${bytes(left)} of ${bytes(room.size)} left. ${
        room.quota
          ? "Delete media, or ask for more quota."
          : "Guests are paused when it is full: delete media or empty the trash."
      }`,
      to: "/media",
    },
  ];
}

function ofHost(host: HostInfo, hostPath: HostPath): Matter[] {
  const all: Matter[] = (host.hosts ?? []).flatMap((one) => ofClock(one, hostPath));
  if (host.memory_free_mib <= SCARCE_MEMORY * host.memory_mib)
    all.push({
      key: "memory",
      danger: false,
      title: "The host's memory is nearly used up",
      message: `${mib(host.memory_free_mib)} of ${mib(host.memory_mib)} are left: further VMs may not start.`,
      to: "/vms",
    });
  if ((host.cpu_use ?? 0) >= BUSY)
    all.push({
      key: "cpu",
      danger: false,
      title: "The host's CPUs are busy",
      message: `${percent(host.cpu_use ?? 0)} of ${count(host.cpus, "CPU")} in the last ten seconds: guests wait for one another.`,
      to: "/vms?state=busy",
    });
  return all;
}

function ofSilence(
  { id, name, unreachable_since: since, dead_since: dead, vms }: HostSummary,
  hostPath: HostPath,
): Matter[] {
  if (since === undefined) return [];
  if (dead !== undefined)
    return [
      {
        key: `host-${id}`,
        danger: false,
        title: `Host ${name} is confirmed dead`,
        message: `Confirmed ${ago(dead)}. Its VMs can start elsewhere, as far as their media are there.`,
        to: hostPath(id),
      },
    ];
  return [
    {
      key: `host-${id}`,
      danger: true,
      title: `Host ${name} does not respond`,
      message: `Last heard ${ago(since)}. ${lastKnown(vms.total)}`,
      to: hostPath(id),
    },
  ];
}

function lastKnown(vms: number): string {
  if (vms === 0) return "It has no VMs.";
  if (vms === 1) return "Its VM may still be running: it is shown as it was last.";
  return `Its ${vms.toLocaleString()} VMs may still be running: they are shown as they were last.`;
}

function ofClock(
  { id, name, clock_ahead: ahead, unreachable_since: since }: HostSummary,
  hostPath: HostPath,
): Matter[] {
  if (ahead === undefined || since !== undefined) return [];
  return [
    {
      key: `clock-${id}`,
      danger: false,
      title: `The clock of host ${name} is wrong`,
      message: `It is ${duration(Math.abs(ahead))} ${ahead > 0 ? "ahead of" : "behind"} the server's: synchronize the clocks of both (NTP).`,
      to: hostPath(id),
    },
  ];
}

const ofTask = (task: TaskInfo): Matter => ({
  key: `task-${task.tid}`,
  danger: false,
  title: `${titleOf(task)} failed`,
  message: task.message ?? "It failed without a message.",
  to: `/tasks?task=${task.tid}`,
  dismiss: `task-${task.tid}`,
});
