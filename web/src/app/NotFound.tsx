/** An address that leads nowhere: an old link, or a mistyped one. */
import { EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter } from "@patternfly/react-core";
import { useLocation } from "react-router";
import { LinkButton } from "@/ui/LinkButton";
import { PageHead } from "@/ui/PageHead";
import { Section } from "@/ui/Section";

export function NotFound() {
  const { pathname } = useLocation();
  return (
    <>
      <PageHead title="Page not found" />
      <Section>
        <EmptyState titleText="There is no page at this address" headingLevel="h2">
          <EmptyStateBody>
            There is no page at <code className="v-words">{pathname}</code>. The link may be old or mistyped.
          </EmptyStateBody>
          <EmptyStateFooter>
            <EmptyStateActions>
              <LinkButton to="/">Dashboard</LinkButton>
              <LinkButton variant="link" to="/vms">
                Virtual machines
              </LinkButton>
            </EmptyStateActions>
          </EmptyStateFooter>
        </EmptyState>
      </Section>
    </>
  );
}
