/** A page that fails says so and leaves the others uploadStatus. */

import { Button, EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter } from "@patternfly/react-core";
import { Component, type ReactNode } from "react";
import { Section } from "./Section";

/** `where` it stands: what failed there is forgotten elsewhere. */
export class ErrorBoundary extends Component<{ children: ReactNode; where: string }, { error?: Error | undefined }> {
  override state: { error?: Error | undefined } = {};

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override componentDidUpdate(before: { where: string }) {
    if (before.where !== this.props.where && this.state.error) this.setState({ error: undefined });
  }

  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    const old = /dynamically imported module|Importing a module/.test(error.message);
    return (
      <Section>
        <EmptyState status="danger" titleText={old ? "The server has a newer page" : "This page has failed"}>
          <EmptyStateBody>
            {old ? "Reload the page to continue." : `This is a bug in Velocity: ${error.message}. Nothing was changed.`}
          </EmptyStateBody>
          <EmptyStateFooter>
            <EmptyStateActions>
              <Button onClick={() => location.reload()}>Reload the page</Button>
            </EmptyStateActions>
          </EmptyStateFooter>
        </EmptyState>
      </Section>
    );
  }
}
