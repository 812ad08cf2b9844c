/** The parts of a VM's page, each a place with an address. */
import { useEffect, useRef } from "react";
import { Link } from "react-router";
import type { Vm } from "@/api/live";

export interface VmTab {
  tab: string;
  title: string;
}

export function VmTabs({
  vm,
  tabs,
  here,
  base = "/vms",
}: {
  vm: Vm;
  tabs: readonly VmTab[];
  here: string;
  base?: string;
}) {
  const row = useRef<HTMLElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: on a phone the tabs scroll, and another one is to be seen
  useEffect(() => {
    row.current?.querySelector('[aria-current="page"]')?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [here]);
  return (
    <nav ref={row} className="v-tabs" aria-label={`Of ${vm.name}`}>
      {tabs.map(({ tab, title }) => (
        <Link
          key={tab}
          to={tab === "overview" ? `${base}/${vm.vmid}` : `${base}/${vm.vmid}/${tab}`}
          aria-current={tab === here ? "page" : undefined}
        >
          {title}
        </Link>
      ))}
    </nav>
  );
}
