/** The VMs as a wall of screens. What is further down is made when one comes near it. */
import { Button, Card, CardBody, CardFooter, CardHeader, CardTitle, Checkbox, Flex } from "@patternfly/react-core";
import { memo, useEffect, useRef, useState } from "react";
import { Link } from "react-router";
import type { Vm } from "@/api/live";
import type { Chosen } from "@/ui/table/DataTable";
import type { PendingAction } from "./ConfirmAction";
import { State } from "./columns";
import { RowActions } from "./RowActions";
import { Thumbnail } from "./Thumbnail";

const MORE = 24;

interface Props extends Chosen {
  vms: readonly Vm[];
  ask: (asked: PendingAction) => void;
}

export function Wall({ vms, ask, selected, onChoose }: Props) {
  const [shown, setShown] = useState(MORE);
  const end = useRef<HTMLDivElement>(null);
  const rest = vms.length > shown;
  // biome-ignore lint/correctness/useExhaustiveDependencies: watched anew after each step, as the end may still be in sight
  useEffect(() => {
    if (!rest || !end.current) return;
    const observer = new IntersectionObserver(
      ([entry]) => {
        if (entry?.isIntersecting) setShown((before) => before + MORE);
      },
      { rootMargin: "600px" },
    );
    observer.observe(end.current);
    return () => observer.disconnect();
  }, [rest, shown]);
  return (
    <>
      <ul aria-label="Screens" className="v-wall">
        {vms.slice(0, shown).map((vm) => (
          <li key={vm.vmid}>
            <One vm={vm} ask={ask} chosen={selected?.has(vm.vmid)} onChoose={onChoose} />
          </li>
        ))}
      </ul>
      {rest && (
        <div ref={end} className="v-wall-end">
          <Button variant="link" onClick={() => setShown(shown + MORE)}>
            Show more
          </Button>
        </div>
      )}
    </>
  );
}

interface OneProps {
  vm: Vm;
  ask: (asked: PendingAction) => void;
  chosen: boolean | undefined;
  onChoose: (key: string | number, on: boolean) => void;
}

const One = memo(function One({ vm, ask, chosen, onChoose }: OneProps) {
  return (
    <Card isCompact isFullHeight>
      <CardHeader
        actions={
          chosen === undefined
            ? undefined
            : {
                actions: (
                  <Checkbox
                    id={`wall-${vm.vmid}`}
                    aria-label={`Select ${vm.name}`}
                    isChecked={chosen}
                    onChange={(_event, on) => onChoose(vm.vmid, on)}
                  />
                ),
              }
        }
      >
        <CardTitle component="h2" className="v-breaks">
          <Link to={`/vms/${vm.vmid}`}>{vm.name}</Link>
        </CardTitle>
      </CardHeader>
      <CardBody>
        <Link
          to={vm.state === "STOPPED" ? `/vms/${vm.vmid}` : `/vms/${vm.vmid}/console`}
          aria-label={vm.state === "STOPPED" ? `${vm.name}, stopped` : `Console of ${vm.name}`}
          className="v-wall-screen"
        >
          <Thumbnail vm={vm} />
        </Link>
      </CardBody>
      <CardFooter>
        <Flex justifyContent={{ default: "justifyContentSpaceBetween" }} flexWrap={{ default: "nowrap" }}>
          <State vm={vm} />
          <RowActions vm={vm} ask={ask} />
        </Flex>
      </CardFooter>
    </Card>
  );
});
