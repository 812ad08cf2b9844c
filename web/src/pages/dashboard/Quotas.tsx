/** What the quotas of one's groups leave: for who does not see the host, this is what there is. */
import { Card, CardBody, CardTitle } from "@patternfly/react-core";
import { Link } from "react-router";
import { useAnswer } from "@/api/queries";
import { type GroupChoice, useGroupsWhere } from "@/ui/groups";
import { WhoGivesMore } from "@/ui/WhoGivesMore";
import { amount, LIMITED, type Limited, TITLES } from "../people/quotas";
import { Bar } from "./Host";

const MOST = 4;
/** The share left at which one is told whom to ask for more. */
const SCARCE = 0.1;

/** Beside its bar, which is narrow, no number needs its noun. */
const SHORT = { ...TITLES, vms: "VMs" };
const short = (name: Limited, value: number) => (name === "memory_mib" ? amount(name, value) : value.toLocaleString());

export function Quotas() {
  const groups = useGroupsWhere("group.view");
  if (groups.length === 0) return null;
  return (
    <Card component="section" aria-labelledby="quotas">
      <CardTitle component="h2" id="quotas">
        Quota
      </CardTitle>
      <CardBody>
        {groups.slice(0, MOST).map((group) => (
          <OfGroup key={group.gid} group={group} />
        ))}
        {groups.length > MOST && <Link to="/groups">The quotas of all your groups</Link>}
      </CardBody>
    </Card>
  );
}

function OfGroup({ group: { gid, path } }: { group: GroupChoice }) {
  const { data } = useAnswer("post", "/u/group/quota", { gid }, { topics: ["quota"] });
  if (!data) return null;
  const limited = LIMITED.flatMap((name) => {
    const left = data.left[name];
    return left === undefined ? [] : [{ name, left, used: data.usage[name] }];
  });
  const tight = limited.some(({ left, used }) => left <= SCARCE * (left + used));
  return (
    <div className="v-item">
      <h3 className="v-quota-of">
        <Link to={`/groups/${gid}`}>{path}</Link>
        {limited.length === 0 && <span className="v-subtle"> no limit</span>}
      </h3>
      <div className="v-quota-bars">
        {limited.map(({ name, left, used }) => (
          <Bar
            key={name}
            title={
              <>
                {SHORT[name]}
                <span className="v-hidden-text"> of {path}</span>
              </>
            }
            value={used + left > 0 ? used / (used + left) : 1}
            words={`${short(name, Math.max(0, left))} left, ${short(name, used)} in use`}
          />
        ))}
      </div>
      {tight && <WhoGivesMore gid={gid} />}
    </div>
  );
}
