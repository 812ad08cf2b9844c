/** The fields that say where a new medium goes, with the room that is left there. */
import { FormGroup, FormHelperText, HelperText, HelperTextItem } from "@patternfly/react-core";
import { useId } from "react";
import { Choose } from "@/ui/Choose";
import { roomWords } from "./rules";
import type { Target } from "./target";

/** Says below a field what is wrong with it, or else what is worth knowing. */
export function Below({ problem, warning, children }: { problem?: string; warning?: string; children?: string }) {
  if (!problem && !warning && !children) return null;
  return (
    <FormHelperText>
      <HelperText isLiveRegion={problem !== undefined}>
        {problem || children ? (
          <HelperTextItem variant={problem ? "error" : "default"}>{problem ?? children}</HelperTextItem>
        ) : null}
        {!problem && warning && <HelperTextItem variant="warning">{warning}</HelperTextItem>}
      </HelperText>
    </FormHelperText>
  );
}

export function TargetFields({
  target,
  problem,
  poolProblem,
}: {
  target: Target;
  problem?: string;
  poolProblem?: string;
}) {
  const id = useId();
  return (
    <>
      <FormGroup label="Group" fieldId={`${id}-group`}>
        <Choose
          id={`${id}-group`}
          value={String(target.gid)}
          choices={target.groups.map((one) => ({ value: String(one.gid), label: one.path }))}
          onChange={(value) => target.setGid(Number(value))}
        />
        <Below problem={problem} />
      </FormGroup>
      <FormGroup label="Pool" fieldId={`${id}-pool`}>
        <Choose
          id={`${id}-pool`}
          value={String(target.mpid ?? "")}
          choices={
            target.pools.length > 0
              ? target.pools.map((one) => ({
                  value: String(one.mpid),
                  label: one.closed ? `${one.name} (${one.closed})` : one.name,
                  disabled: one.closed !== "",
                }))
              : [{ value: "", label: "None" }]
          }
          onChange={(value) => target.setMpid(Number(value))}
          disabled={target.pools.length === 0}
        />
        <Below problem={target.none ?? poolProblem}>{target.pool && roomWords(target.pool)}</Below>
      </FormGroup>
    </>
  );
}
