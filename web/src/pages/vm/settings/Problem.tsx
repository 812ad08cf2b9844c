/** What is wrong with a field, under it; else its help. */
import { FormHelperText, HelperText, HelperTextItem } from "@patternfly/react-core";
import type { ReactNode } from "react";

export function Problem({ text, help }: { text: string | undefined; help?: ReactNode }) {
  if (!text && !help) return null;
  return (
    <FormHelperText>
      <HelperText isLiveRegion>
        {text ? <HelperTextItem variant="error">{text}</HelperTextItem> : <HelperTextItem>{help}</HelperTextItem>}
      </HelperText>
    </FormHelperText>
  );
}
