/** Who looks on, who types, and the handing over. */
import { Alert, AlertActionLink, Button, Flex, FlexItem, Label } from "@patternfly/react-core";
import { KeyboardIcon, UsersIcon } from "@patternfly/react-icons";
import { count } from "@/ui/format";
import type { Keyboard, Move } from "./keyboard";

export function KeyboardBar({ keyboard, onMove }: { keyboard: Keyboard; onMove: (move: Move) => void }) {
  const { viewers, holder, yours, asks, asked } = keyboard;
  return (
    <div role="status">
      <Flex alignItems={{ default: "alignItemsCenter" }} gap={{ default: "gapSm" }}>
        <FlexItem>
          <Label isCompact icon={<KeyboardIcon />} color={yours ? "green" : holder ? "orange" : "grey"}>
            {yours
              ? "You have the keyboard"
              : holder
                ? `${holder} has the keyboard`
                : "The keyboard is free: type to take it"}
          </Label>
        </FlexItem>
        <FlexItem>
          <Label isCompact icon={<UsersIcon />} color="grey" title={viewers.join(", ")}>
            {viewers.length > 1 ? `${count(viewers.length, "viewer")}: ${viewers.join(", ")}` : "No other viewers"}
          </Label>
        </FlexItem>
        {yours && viewers.length > 1 && (
          <FlexItem>
            <Button variant="link" size="sm" isInline onClick={() => onMove("release")}>
              Release it
            </Button>
          </FlexItem>
        )}
        {!yours && holder && (
          <FlexItem>
            <Button
              variant="secondary"
              size="sm"
              isLoading={asked === "waiting"}
              isDisabled={asked === "waiting"}
              onClick={() => onMove("ask")}
            >
              {asked === "waiting" ? `Asking ${holder}: at most 10 s` : "Ask for it"}
            </Button>
          </FlexItem>
        )}
      </Flex>
      {asked === "refused" && holder && (
        <Alert component="p" isInline isPlain variant="info" title={`${holder} keeps the keyboard for now`} />
      )}
      {yours && asks && (
        <Alert
          component="p"
          isInline
          variant="warning"
          title={`${asks} asks for the keyboard`}
          actionLinks={
            <>
              <AlertActionLink onClick={() => onMove("give")}>Give it</AlertActionLink>
              <AlertActionLink onClick={() => onMove("keep")}>Keep it</AlertActionLink>
            </>
          }
        >
          If you do not answer, it is handed over after 10 seconds.
        </Alert>
      )}
    </div>
  );
}
