/** Who is signed in: own settings, the theme, and the way out. */
import { Divider, DropdownItem, DropdownList } from "@patternfly/react-core";
import { useRef, useState } from "react";
import { useNavigate } from "react-router";
import { session } from "@/api/session";
import { useSignal } from "@/api/signal";
import { Icon } from "@/look/Icon";
import { Dropdown } from "@/ui/Dropdown";
import { chooseTheme, isDark } from "@/ui/theme";

export function Me({ showHelp }: { showHelp: () => void }) {
  const [open, setOpen] = useState(false);
  const toggle = useRef<HTMLButtonElement>(null);
  const navigate = useNavigate();
  const state = useSignal(session.state);
  const name = state.is === "in" || state.is === "again" ? state.session.name : "";
  const dark = isDark();
  return (
    <Dropdown
      isOpen={open}
      onOpenChange={setOpen}
      onSelect={() => setOpen(false)}
      popperProps={{
        direction: "up",
        minWidth: "12rem", // the navigation may be its icons alone
        appendTo: () => toggle.current?.parentElement ?? document.body,
      }}
      toggle={{
        toggleRef: toggle,
        toggleNode: (
          <button
            ref={toggle}
            type="button"
            className="v-me"
            title={name}
            aria-haspopup="menu"
            aria-expanded={open}
            onClick={() => setOpen(!open)}
          >
            <Icon name="person" />
            <span>{name}</span>
            <Icon name="up" />
          </button>
        ),
      }}
    >
      <DropdownList>
        <DropdownItem onClick={() => navigate("/settings")}>My settings</DropdownItem>
        <DropdownItem onClick={() => chooseTheme(dark ? "light" : "dark")}>
          {dark ? "Light theme" : "Dark theme"}
        </DropdownItem>
        <DropdownItem onClick={showHelp}>Help and shortcuts</DropdownItem>
        <Divider component="li" />
        <DropdownItem onClick={() => void session.signOut()}>Sign out</DropdownItem>
      </DropdownList>
    </Dropdown>
  );
}
