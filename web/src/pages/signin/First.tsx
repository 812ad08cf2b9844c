/** What is shown before there is anything else, and instead of it when it does not come. */
import { LATE, useLate } from "@/ui/late";
import { Outside } from "./Outside";

/** As index.html has it: the eye sees no change until there is something to see, or that is late. */
export function First() {
  return useLate() ? <Reloads title="Velocity">{LATE}</Reloads> : <p className="v-first">Velocity</p>;
}

export function Reloads({ title, children }: { title: string; children: string }) {
  return (
    <Outside title={title}>
      <p role="status">{children}</p>
      <button type="button" className="v-button" onClick={() => location.reload()}>
        Reload the page
      </button>
    </Outside>
  );
}
