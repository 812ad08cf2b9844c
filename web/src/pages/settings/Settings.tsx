/** What is the person's own: the look, the password, and where one is signed in. */
import { Stack, StackItem } from "@patternfly/react-core";
import { session } from "@/api/session";
import { useSignal } from "@/api/signal";
import { PageHead } from "@/ui/PageHead";
import { Section } from "@/ui/Section";
import { Look } from "./Look";
import { Password } from "./Password";
import { Sessions } from "./Sessions";

export default function Settings() {
  const state = useSignal(session.state);
  if (state.is !== "in" && state.is !== "again") return null;
  const { first, name } = state.session;
  return (
    <>
      <PageHead
        title={first ? "Choose your password" : "My settings"}
        about={
          first
            ? "The link that opened this page works once. Choose your own password to continue."
            : `Signed in as ${name}.`
        }
      />
      <Section className="v-narrow">
        <Stack hasGutter>
          <StackItem>
            <Password key={String(first)} session={state.session} />
          </StackItem>
          {!first && (
            <>
              <StackItem>
                <Look />
              </StackItem>
              <StackItem>
                <Sessions />
              </StackItem>
            </>
          )}
        </Stack>
      </Section>
    </>
  );
}
