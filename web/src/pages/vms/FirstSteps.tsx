/** What to do first where there is nothing yet, as far as the person may do it. */
import {
  Card,
  CardBody,
  CardFooter,
  CardTitle,
  ClipboardCopy,
  EmptyState,
  EmptyStateBody,
  Gallery,
} from "@patternfly/react-core";
import type { ReactNode } from "react";
import { useMay, useObjects } from "@/api/live";
import { LinkButton } from "@/ui/LinkButton";

export function FirstSteps() {
  const groups = useObjects("group");
  const may = useMay();
  const somewhere = (permission: string) => groups.some((one) => may(permission, one.gid));
  const steps = [
    somewhere("vm.create") && (
      <Step key="create" title="Create a virtual machine" to="/create" verb="Create a machine">
        From an installation image, a disk image, or from nothing. Uploading an image is part of it.
      </Step>
    ),
    somewhere("vm.create") && somewhere("media.create") && may("vm.create", 0) && (
      <Step key="demo" title="Try the sample guest">
        A small Linux, built from the server’s own kernel, uploaded, booted and shown. On the server, run:
        <ClipboardCopy
          isReadOnly
          isCode
          hoverTip="Copy"
          clickTip="Copied"
          aria-label="Command"
          className="v-space-above"
        >
          velocity demo
        </ClipboardCopy>
      </Step>
    ),
    somewhere("media.create") && (
      <Step key="upload" title="Upload an image" to="/media?upload" verb="Upload an image">
        An installation ISO, or a disk: raw, qcow2, VMDK, VDI or VHDX. An upload that breaks off goes on by itself.
      </Step>
    ),
    somewhere("group.create") && (
      <Step key="team" title="Set up a team" to="/groups" verb="Make a group">
        A group has members with permissions, a quota of CPUs and memory, and a share of the storage.
      </Step>
    ),
  ].filter(Boolean);
  if (steps.length === 0)
    return (
      <EmptyState titleText="There is no machine for you yet" headingLevel="h2">
        <EmptyStateBody>
          You see the machines of the groups that you may view. Ask an administrator to create one for you, or to let
          you create machines (velocity.vm.create).
        </EmptyStateBody>
      </EmptyState>
    );
  return (
    <Gallery hasGutter minWidths={{ default: "17rem" }}>
      {steps}
    </Gallery>
  );
}

function Step({ title, to, verb, children }: { title: string; to?: string; verb?: string; children: ReactNode }) {
  return (
    <Card isFullHeight>
      <CardTitle component="h2">{title}</CardTitle>
      <CardBody>{children}</CardBody>
      {to && (
        <CardFooter>
          <LinkButton variant={to === "/create" ? "primary" : "secondary"} to={to}>
            {verb}
          </LinkButton>
        </CardFooter>
      )}
    </Card>
  );
}
