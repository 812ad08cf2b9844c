/** A page that fails shows an error, and does not affect others. */

import { Button, EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter } from "@patternfly/react-core";
import { Component, type ReactNode } from "react";
import { showToast } from "./actions";
import { NotLoaded } from "./part";
import { renew, TOLD, useRenewal } from "./renewal";
import { Section } from "./Section";

interface Props {
  children: ReactNode;
  /** The place of the failure, which is forgotten at another place. */
  where: string;
}

interface Failed {
  error?: Error | undefined;
}

export class ErrorBoundary extends Component<Props, Failed> {
  override state: Failed = {};

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override componentDidUpdate(before: Props) {
    if (before.where !== this.props.where && this.state.error) this.setState({ error: undefined });
  }

  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    return (
      <Section>
        {error instanceof NotLoaded ? <Absent /> : <Failure title="This page has failed">{bug(error)}</Failure>}
      </Section>
    );
  }
}

/** A dialog that fails is closed, and a toast says why. */
export class DialogBoundary extends Component<{ children: ReactNode; onClose: () => void }, Failed> {
  override state: Failed = {};

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override componentDidCatch(error: Error) {
    this.props.onClose();
    if (!(error instanceof NotLoaded)) showToast("danger", "This has failed", bug(error));
    else
      void renew().then((found) => {
        const { title, body } = TOLD[found];
        if (found !== "asking") showToast("danger", title, found === "silent" ? "Try again later." : body);
      });
  }

  override render() {
    return this.state.error ? null : this.props.children;
  }
}

const bug = (error: Error) => `This is a bug in Velocity: ${error.message}. Nothing was changed.`;

function Absent() {
  const { title, body } = TOLD[useRenewal()];
  return <Failure title={title}>{body}</Failure>;
}

function Failure({ title, children }: { title: string; children: string }) {
  return (
    <EmptyState status="danger" titleText={title}>
      <EmptyStateBody>{children}</EmptyStateBody>
      <EmptyStateFooter>
        <EmptyStateActions>
          <Button onClick={() => location.reload()}>Reload the page</Button>
        </EmptyStateActions>
      </EmptyStateFooter>
    </EmptyState>
  );
}
