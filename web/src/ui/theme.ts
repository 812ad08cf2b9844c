/** Light or dark: as the system is set, until the user chooses. The height of rows: as chosen. */
import { Signal } from "@/api/signal";
import { readStored, writeStored } from "@/api/stored";

export type Theme = "system" | "light" | "dark";
export const theme = new Signal<Theme>(readStored<Theme>("theme", "system"));

export type Density = "compact" | "comfortable";
export const density = new Signal<Density>(readStored<Density>("density", "compact"));

const DARK = "pf-v6-theme-dark";

export function chooseTheme(chosen: Theme): void {
  writeStored("theme", chosen);
  theme.set(chosen);
}

export function chooseDensity(chosen: Density): void {
  writeStored("density", chosen);
  density.set(chosen);
}

/** Whether the page is dark now, whoever has chosen that. */
export const isDark = (): boolean => document.documentElement.classList.contains(DARK);

export function followTheme(): void {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const show = () => {
    const dark = theme.value === "dark" || (theme.value === "system" && system.matches);
    document.documentElement.classList.toggle(DARK, dark);
    document.documentElement.style.colorScheme = dark ? "dark" : "light";
    document.documentElement.dataset.rows = density.value;
  };
  theme.watch(show);
  density.watch(show);
  system.addEventListener("change", show);
  show();
}
