/** The parts of the settings, to jump to: beside the form, or above it where there is no room. */

import { hasList } from "./boot";
import type { Draft } from "./draft";

export function Parts({ draft }: { draft: Draft }) {
  const parts = [
    ["general", "General"],
    ["media", "Media"],
    ["displays", "Displays"],
    ["nics", "NICs"],
    ["forwards", "Port forwards"],
    ["hardware", "Hardware"],
    ...(hasList(draft) ? [["boot-order", "Boot order"]] : []),
    ["cloud-init", "Cloud-init"],
  ] as const;
  return (
    <nav className="v-settings-parts" aria-label="Settings">
      <ul>
        {parts.map(([id, title]) => (
          <li key={id}>
            <a href={`#${id}`}>{title}</a>
          </li>
        ))}
      </ul>
    </nav>
  );
}
