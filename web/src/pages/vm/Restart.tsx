/** A restart: the guest is asked to shut down, and started again once it has; so what waits for a start takes effect. */
import { call } from "@/api/call";
import { live, type Vm } from "@/api/live";
import { useAction } from "@/ui/actions";
import { Confirm } from "@/ui/Confirm";
import { shell } from "@/ui/format";
import { vmCli } from "@/ui/vmCli";

/** Milliseconds that a guest has for shutting down. */
const SHUTDOWN_TIMEOUT_MS = 180_000;

export function Restart({ vm, onClose }: { vm: Vm; onClose: () => void }) {
  const act = useAction();
  const restart = async () => {
    void act({ pending: `Restarting ${vm.name}`, done: `${vm.name} is RUNNING`, do: () => again(vm) });
    return true;
  };
  return (
    <Confirm
      title={`Restart ${vm.name}?`}
      verb="Restart"
      danger={false}
      cli={[...vmCli(vm, "stop")]}
      request={{ method: "put", path: "/v/vm/state", body: { vmid: vm.vmid, state: "STOPPED" } }}
      onConfirm={restart}
      onClose={onClose}
    >
      Its power button is pressed; once the guest has shut down it is started again
      {vm.waiting.length > 0 ? ", with the settings that wait for a start" : ""}. Leave this browser tab open until it
      runs: it is the page that starts it again (from a terminal: <code>{vmCli(vm, "start").map(shell).join(" ")}</code>
      ).
    </Confirm>
  );
}

async function again({ vmid, name }: Vm): Promise<void> {
  const stopped = untilStopped(vmid, name);
  try {
    await call("put", "/v/vm/state", { vmid, state: "STOPPED" });
    await stopped.promise;
  } finally {
    stopped.end();
  }
  await call("put", "/v/vm/state", { vmid, state: "RUNNING" });
}

/** The stream tells when. Rejects when that takes too long, or the VM is gone. */
function untilStopped(vmid: number, name: string): { promise: Promise<void>; end: () => void } {
  let end = () => {};
  const promise = new Promise<void>((resolve, reject) => {
    let begun = false;
    const look = () => {
      const vm = live.get("vm", vmid);
      if (!vm) reject(new Error(`${name} no longer exists.`));
      else if (vm.state === "STOPPED") resolve();
      else if (vm.state === "STOPPING") begun = true;
      else if (begun)
        reject(new Error(`${name} is ${vm.state.toLowerCase()}: someone else requested this in the meantime.`));
    };
    const unwatch = live.watch("vm", look);
    const timer = setTimeout(
      () => reject(new Error(`${name} has not shut down in 3 minutes: look at its console, or force it off.`)),
      SHUTDOWN_TIMEOUT_MS,
    );
    end = () => {
      unwatch();
      clearTimeout(timer);
    };
  });
  promise.catch(() => undefined); // told where it is awaited
  return { promise, end };
}
