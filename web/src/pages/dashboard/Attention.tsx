/** What needs a person now; nothing when nothing does. */

import {
  Alert,
  AlertActionCloseButton,
  AlertActionLink,
  Button,
  Stack,
  StackItem,
  Title,
} from "@patternfly/react-core";
import { useState } from "react";
import { Link } from "react-router";
import { useConnection, useMay } from "@/api/live";
import { readStored, writeStored } from "@/api/stored";
import { Sentence } from "@/ui/Sentence";
import { NAMES } from "@/ui/texts/names";
import { withMediaNames } from "@/ui/texts/words";
import { actionsOf, runOnVms, START } from "@/ui/vmActions";
import type { Matter } from "./attention";

const AWAY = "dashboard.away";
const SOME = 6;

/** What was not put away, and how to put one away. */
export function useAway(matters: readonly Matter[]) {
  const [away, setAway] = useState(() => readStored<(string | number)[]>(AWAY, []));
  const left = matters.filter((one) => one.dismiss === undefined || !away.includes(one.dismiss));
  const putAway = (name: string) => {
    const now = [...away, name].slice(-100);
    setAway(now);
    writeStored(AWAY, now);
  };
  return { left, putAway };
}

export function Attention({ left, putAway }: ReturnType<typeof useAway>) {
  const connection = useConnection();
  const may = useMay();
  const [all, setAll] = useState(false);
  const shown = all ? left : left.slice(0, SOME);
  if (left.length === 0 && connection !== "lost") return null;
  return (
    <section aria-labelledby="attention">
      <Title headingLevel="h2" id="attention" className="v-section-title">
        Needs attention
      </Title>
      <Stack className="v-stack">
        {connection === "lost" && (
          <StackItem>
            <Alert isInline variant="warning" title="The connection to the server is lost">
              What you see may be outdated. The page reconnects by itself; guests are not affected.
            </Alert>
          </StackItem>
        )}
        {shown.map((one) => (
          <StackItem key={one.key}>
            <Alert
              isInline
              variant={one.danger ? "danger" : "warning"}
              title={
                one.to === undefined ? (
                  <Sentence>{one.title}</Sentence>
                ) : (
                  <Link to={one.to}>
                    <Sentence>{one.title}</Sentence>
                  </Link>
                )
              }
              component="h3"
              actionClose={
                one.dismiss !== undefined ? (
                  <AlertActionCloseButton
                    aria-label={`Dismiss: ${one.title}`}
                    onClose={() => putAway(one.dismiss ?? "")}
                  />
                ) : undefined
              }
              actionLinks={
                one.start &&
                actionsOf(one.start, may).includes(START) && (
                  <AlertActionLink onClick={() => one.start && void runOnVms([one.start], START)}>
                    Start <bdi>{one.start.name}</bdi>
                  </AlertActionLink>
                )
              }
            >
              <Sentence>{withMediaNames(one.message, NAMES)}</Sentence>
            </Alert>
          </StackItem>
        ))}
        {left.length > shown.length && (
          <StackItem>
            <Button variant="link" isInline onClick={() => setAll(true)}>
              Show {left.length - shown.length} more
            </Button>
          </StackItem>
        )}
      </Stack>
    </section>
  );
}
