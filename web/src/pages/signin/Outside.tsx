/** The frame of what is seen before one is signed in. PatternFly's own page would begin with a heading of level 2. */
import { Login, LoginFooter, LoginMainBody, LoginMainHeader, Title } from "@patternfly/react-core";
import type { ReactNode } from "react";

export function Outside({ title, about, children }: { title: string; about?: string; children: ReactNode }) {
  return (
    <Login footer={about && <LoginFooter>{about}</LoginFooter>}>
      <LoginMainHeader>
        <Title headingLevel="h1" size="3xl">
          {title}
        </Title>
      </LoginMainHeader>
      <LoginMainBody>{children}</LoginMainBody>
    </Login>
  );
}
