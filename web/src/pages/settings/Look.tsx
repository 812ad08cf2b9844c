/** Light, dark, or as the system has it; and how much is on the screen at once. */
import { Card, CardBody, CardTitle, ToggleGroup, ToggleGroupItem } from "@patternfly/react-core";
import { useSignal } from "@/api/signal";
import { chooseDensity, chooseTheme, type Density, density, type Theme, theme } from "@/ui/theme";

const THEMES: Array<[Theme, string]> = [
  ["system", "System"],
  ["light", "Light"],
  ["dark", "Dark"],
];

const DENSITIES: Array<[Density, string]> = [
  ["compact", "Compact"],
  ["comfortable", "Comfortable"],
];

export function Look() {
  const chosen = useSignal(theme);
  const rows = useSignal(density);
  return (
    <Card>
      <CardTitle component="h2">Appearance</CardTitle>
      <CardBody className="v-look">
        <span className="v-subtle">Theme</span>
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
        <span className="v-subtle">Rows of tables</span>
        <ToggleGroup aria-label="Rows of tables">
          {DENSITIES.map(([name, text]) => (
            <ToggleGroupItem
              key={name}
              text={text}
              buttonId={`density-${name}`}
              isSelected={rows === name}
              onChange={() => chooseDensity(name)}
            />
          ))}
        </ToggleGroup>
      </CardBody>
    </Card>
  );
}
