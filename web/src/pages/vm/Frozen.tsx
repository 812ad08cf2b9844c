/** That the file systems of a VM's guest are frozen for a backup, in its head, and how they go on. */
import { Button } from "@patternfly/react-core";
import { call } from "@/api/call";
import { useMay, type Vm } from "@/api/live";
import { useAction } from "@/ui/actions";
import { When } from "@/ui/When";

export function Frozen({ vm, until }: { vm: Vm; until: number }) {
  const may = useMay();
  const act = useAction();
  const thaw = () =>
    act({
      pending: `Thawing the file systems of ${vm.name}`,
      done: `File systems of ${vm.name} thawed`,
      do: () => call("put", "/v/vm/thaw", { vmid: vm.vmid }),
    });
  return (
    <div className="v-note v-note-busy">
      <strong>Its file systems are frozen: programs in the guest that write wait.</strong>
      <span>
        The server thaws them <When at={until} />.
      </span>
      {may("vm.guest", vm.gid) && (
        <Button variant="link" isInline onClick={thaw}>
          Thaw now
        </Button>
      )}
    </div>
  );
}
