/** Where there is no machine to show: what to do first, or whom to ask. */
import { EmptyState, EmptyStateBody } from "@patternfly/react-core";
import { FirstSteps } from "@/ui/FirstSteps";
import { useGroupsWhere } from "@/ui/groups";

export function NoMachines() {
  const mayCreate = useGroupsWhere("vm.create").length > 0;
  const mayUpload = useGroupsWhere("media.create").length > 0;
  if (mayCreate || mayUpload) return <FirstSteps />;
  return (
    <EmptyState titleText="There is no machine for you yet" headingLevel="h2">
      <EmptyStateBody>
        You see the machines of the groups that you may view. Ask an administrator to create one for you, or to let you
        create machines (velocity.vm.create).
      </EmptyStateBody>
    </EmptyState>
  );
}
