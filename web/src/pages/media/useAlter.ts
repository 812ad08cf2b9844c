/** A change of one medium, as a dialog carries it out; what is to be known of it afterwards stays as a toast. */
import { call } from "@/api/call";
import type { AlterMedium } from "@/api/schema";
import { showToast, useAction } from "@/ui/actions";
import type { useRefusal } from "@/ui/FormDialog";

export function useAlter(
  body: AlterMedium,
  refused: Pick<ReturnType<typeof useRefusal>, "during">,
  pending: string,
  done: string,
): () => Promise<boolean> {
  const act = useAction();
  return () => {
    return act({
      pending,
      done,
      do: () =>
        refused.during(async () => {
          const answer = await call("patch", "/m/media", body);
          for (const warning of answer.warnings ?? []) showToast("warning", warning);
          if (answer.waiting.length > 0) showToast("info", "VMs that run with it see it at their next start");
        }),
    });
  };
}
