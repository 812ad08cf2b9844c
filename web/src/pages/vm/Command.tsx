/** The hypervisor's command of a VM that runs, for the curious. */
import { Content, EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter } from "@patternfly/react-core";
import { useEffect, useRef } from "react";
import { ApiError } from "@/api/http";
import type { Vm } from "@/api/live";
import { useAnswer } from "@/api/queries";
import { Icon } from "@/look/Icon";
import { Code } from "@/ui/Code";
import { Failed } from "@/ui/Failed";
import { Loading } from "@/ui/Loading";
import { linesOf } from "./argv";
import { save } from "./console/save";
import { StartButton } from "./StartButton";

export function Command({ vm }: { vm: Vm }) {
  return vm.state === "STOPPED" ? <Stopped vm={vm} /> : <Running vm={vm} />;
}

function Stopped({ vm }: { vm: Vm }) {
  return (
    <EmptyState titleText="The VM is stopped" headingLevel="h2" variant="sm">
      <EmptyStateBody>The command line is read back from the process, which exists while the VM runs.</EmptyStateBody>
      <EmptyStateFooter>
        <EmptyStateActions>
          <StartButton vm={vm} />
        </EmptyStateActions>
      </EmptyStateFooter>
    </EmptyState>
  );
}

function Running({ vm }: { vm: Vm }) {
  const command = useAnswer("post", "/v/vm/command", { vmid: vm.vmid });
  const { refetch } = command;
  const state = useRef(vm.state);
  useEffect(() => {
    if (state.current === vm.state) return;
    state.current = vm.state;
    void refetch();
  }, [vm.state, refetch]);
  if (command.isError) {
    if (command.error instanceof ApiError && command.error.code === 34120) return <Stopped vm={vm} />;
    return <Failed error={command.error} what="The command" again={() => void refetch()} />;
  }
  if (!command.data) return <Loading />;
  const lines = linesOf(command.data.argv);
  const text = lines.join(" \\\n  ");
  return (
    <>
      <Content component="p" className="v-subtle">
        As it runs now, read back from the process. DATA and RUN stand for the server's own directories; media are open
        descriptors, so that it cannot be started a second time by hand.
      </Content>
      <Code label="Command line" text={text}>
        <button
          type="button"
          className="v-plain v-copy"
          aria-label="Download the command line"
          title="Download"
          onClick={() => save(new Blob([`${text}\n`], { type: "text/plain" }), `${vm.name}-command.sh`)}
        >
          <Icon name="download" />
        </button>
      </Code>
    </>
  );
}
