/** Where there is no VM to show: what to do first, or whom to ask. */
import { EmptyState, EmptyStateBody } from "@patternfly/react-core";
import { FirstSteps } from "@/ui/FirstSteps";
import { useGroupsWhere } from "@/ui/groups";

export function NoMachines() {
  const mayCreate = useGroupsWhere("vm.create").length > 0;
  const mayUpload = useGroupsWhere("media.create").length > 0;
  if (mayCreate || mayUpload) return <FirstSteps />;
  return (
    <EmptyState titleText="There is no VM for you yet" headingLevel="h2">
      <EmptyStateBody>
        You see the VMs of the groups that you may view. Ask an administrator to create one for you, or to let you
        create VMs yourself.
      </EmptyStateBody>
    </EmptyState>
  );
}
