/** What can be done at a graphical console: which display, keys, pasting, a picture, how large. */
import {
  Divider,
  DropdownGroup,
  DropdownItem,
  DropdownList,
  MenuToggle,
  ToggleGroup,
  ToggleGroupItem,
} from "@patternfly/react-core";
import { Fragment, type Ref, useState } from "react";
import type { Display } from "@/api/schema";
import { Icon } from "@/look/Icon";
import { Dropdown } from "@/ui/Dropdown";
import { Tool } from "./ConsoleShell";
import { CHORDS } from "./chords";
import type { Scaling } from "./useDisplayConsole";

interface Props {
  displays: Pick<Display, "name">[];
  display: string;
  onDisplay: (name: string) => void;
  scaling: Scaling;
  onScaling: (scaling: Scaling) => void;
  connected: boolean;
  onChord: (chord: string) => void;
  onPaste: () => void;
  onPicture: () => void;
  /** Where menus are put: in full screen only what is inside it is seen. */
  room: () => HTMLElement;
  /** Where the focus goes on the way out of the screen. */
  way: Ref<HTMLButtonElement>;
}

const SCALINGS: { scaling: Scaling; text: string; about: string }[] = [
  { scaling: "fit", text: "Fit", about: "The screen is shown as large as the window" },
  { scaling: "follow", text: "Match", about: "The guest is told the size of the window, if it can follow" },
  { scaling: "real", text: "1:1", about: "One pixel of the guest is one of this screen" },
];

export function ConsoleBar(props: Props) {
  const { displays, display, scaling, connected } = props;
  return (
    <>
      {displays.length > 1 && (
        <ToggleGroup aria-label="Display" isCompact>
          {displays.map((one) => (
            <ToggleGroupItem
              key={one.name}
              text={one.name}
              buttonId={`display-${one.name}`}
              isSelected={one.name === display}
              onChange={() => props.onDisplay(one.name)}
            />
          ))}
        </ToggleGroup>
      )}
      <Keys {...props} />
      <Tool icon="paste" label="Paste" disabled={!connected} onPress={props.onPaste} />
      <Tool icon="camera" label="Screenshot" disabled={!connected} onPress={props.onPicture} />
      <ToggleGroup aria-label="Size" isCompact>
        {SCALINGS.map((one) => (
          <ToggleGroupItem
            key={one.scaling}
            text={<span title={one.about}>{one.text}</span>}
            buttonId={`scale-${one.scaling}`}
            isSelected={scaling === one.scaling}
            onChange={() => props.onScaling(one.scaling)}
          />
        ))}
      </ToggleGroup>
    </>
  );
}

function Keys({ connected, onChord, room, way }: Props) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button
        ref={way}
        type="button"
        className="v-tool v-console-cad"
        disabled={!connected}
        onClick={() => onChord("Ctrl-Alt-Del")}
      >
        Ctrl-Alt-Del
      </button>
      <Dropdown
        className="v-keys"
        isOpen={open}
        onOpenChange={setOpen}
        onSelect={(_event, chord) => {
          setOpen(false);
          onChord(String(chord));
        }}
        shouldFocusToggleOnSelect={false} // the screen gets it
        popperProps={{ appendTo: room }}
        toggle={(ref) => (
          <MenuToggle
            ref={ref}
            size="sm"
            variant="plainText"
            icon={<Icon name="keyboard" />}
            isDisabled={!connected}
            isExpanded={open}
            onClick={() => setOpen(!open)}
          >
            Keys
          </MenuToggle>
        )}
      >
        {CHORDS.map(({ title, chords }, index) => (
          <Fragment key={title}>
            {index > 0 && <Divider />}
            <DropdownGroup label={title}>
              <DropdownList>
                {chords.map((chord) => (
                  <DropdownItem key={chord} value={chord}>
                    {chord}
                  </DropdownItem>
                ))}
              </DropdownList>
            </DropdownGroup>
          </Fragment>
        ))}
      </Dropdown>
    </>
  );
}
