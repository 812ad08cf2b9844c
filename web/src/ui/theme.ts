/** Light or dark: as the system has it, until the person chooses. */
import { Signal } from "@/api/signal";
import { readStored, writeStored } from "@/api/stored";

export type Theme = "system" | "light" | "dark";
export const theme = new Signal<Theme>(readStored<Theme>("theme", "system"));

export function chooseTheme(chosen: Theme): void {
  writeStored("theme", chosen);
  theme.set(chosen);
}

export function followTheme(): void {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const show = () => {
    const dark = theme.value === "dark" || (theme.value === "system" && system.matches);
    document.documentElement.classList.toggle("pf-v6-theme-dark", dark);
    document.documentElement.style.colorScheme = dark ? "dark" : "light";
  };
  theme.watch(show);
  system.addEventListener("change", show);
  show();
}
