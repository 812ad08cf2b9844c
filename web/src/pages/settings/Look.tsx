/** Light, dark, or as the system has it. */
import { Card, CardBody, CardTitle, ToggleGroup, ToggleGroupItem } from "@patternfly/react-core";
import { useSignal } from "@/api/signal";
import { chooseTheme, type Theme, theme } from "@/ui/theme";

const THEMES: Array<[Theme, string]> = [
  ["system", "As in the system"],
  ["light", "Light"],
  ["dark", "Dark"],
];

export function Look() {
  const chosen = useSignal(theme);
  return (
    <Card>
      <CardTitle component="h2">Theme</CardTitle>
      <CardBody>
        <ToggleGroup aria-label="Theme">
          {THEMES.map(([name, text]) => (
            <ToggleGroupItem
              key={name}
              text={text}
              buttonId={`theme-${name}`}
              isSelected={chosen === name}
              onChange={() => chooseTheme(name)}
            />
          ))}
        </ToggleGroup>
      </CardBody>
    </Card>
  );
}
