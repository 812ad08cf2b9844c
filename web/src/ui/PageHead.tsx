/** The head of a page: its title, what it is about, and what can be done there. */
import { Content, Flex, FlexItem, PageSection, Title } from "@patternfly/react-core";
import { type ReactNode, useEffect } from "react";

export function PageHead({
  title,
  about,
  actions,
  children,
}: {
  title: string;
  about?: ReactNode;
  actions?: ReactNode;
  children?: ReactNode;
}) {
  useEffect(() => {
    document.title = `${title} · Velocity`;
  }, [title]);
  return (
    <PageSection hasBodyWrapper={false} className="v-head">
      <Flex justifyContent={{ default: "justifyContentSpaceBetween" }} alignItems={{ default: "alignItemsFlexStart" }}>
        <FlexItem grow={{ default: "grow" }}>
          <Title headingLevel="h1">{title}</Title>
          {about && (
            <Content component="p" className="v-subtle">
              {about}
            </Content>
          )}
        </FlexItem>
        {actions && <FlexItem>{actions}</FlexItem>}
      </Flex>
      {children}
    </PageSection>
  );
}
