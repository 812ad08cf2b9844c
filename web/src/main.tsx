import "@fontsource-variable/inter/wght.css";
import "./look/tokens.css";
import "./look/first.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Start } from "./Start";
import { followTheme } from "./ui/theme";

// Their addresses are relative, and would be others as soon as one goes to another place: what is loaded later asks by
// them whether a style is there, and would load it again, behind those that it must not override.
for (const link of document.querySelectorAll("link")) Object.defineProperty(link, "href", { value: link.href });

followTheme();
createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <Start />
  </StrictMode>,
);
