/** How much of a limit is used, as a bar with its words. */
import { Progress, ProgressMeasureLocation } from "@patternfly/react-core";

export function Bar({
  title,
  label,
  used,
  limit,
  words,
}: {
  title: string;
  /** Read out where no title is shown. */
  label?: string;
  used: number;
  limit: number;
  words: string;
}) {
  const part = limit > 0 ? used / limit : used > 0 ? 1 : 0;
  return (
    <Progress
      {...(title ? { title } : { "aria-label": label ?? "Used" })}
      value={Math.min(100, part * 100)}
      label={words}
      valueText={words}
      measureLocation={ProgressMeasureLocation.top}
      variant={limit > 0 && part > 1 ? "danger" : part >= 0.9 ? "warning" : undefined}
      size="sm"
    />
  );
}
