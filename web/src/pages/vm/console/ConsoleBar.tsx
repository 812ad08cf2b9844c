/** What can be done at a graphical console: which display, how large, keys, pasting, a picture, full screen. */
import {
  Button,
  Divider,
  DropdownGroup,
  DropdownItem,
  DropdownList,
  MenuToggle,
  ToggleGroup,
  ToggleGroupItem,
  Toolbar,
  ToolbarContent,
  ToolbarItem,
} from "@patternfly/react-core";
import { CameraIcon, CompressIcon, ExpandIcon, KeyboardIcon, PasteIcon } from "@patternfly/react-icons";
import { Fragment, type Ref, useState } from "react";
import type { Display } from "@/api/schema";
import { Dropdown } from "@/ui/Dropdown";
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
  full: boolean;
  /** Absent: this browser cannot. */
  onFull: (() => void) | undefined;
  /** Where menus are put: in full screen only what is inside it is seen. */
  room: () => HTMLElement;
  /** Where the focus goes on the way out of the screen. */
  way: Ref<HTMLButtonElement>;
}

export function ConsoleBar(props: Props) {
  const { displays, display, scaling, connected, full } = props;
  return (
    <Toolbar className="v-console-bar">
      <ToolbarContent>
        {displays.length > 1 && (
          <ToolbarItem>
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
          </ToolbarItem>
        )}
        <ToolbarItem>
          <Keys {...props} />
        </ToolbarItem>
        <ToolbarItem>
          <Button variant="secondary" size="sm" icon={<PasteIcon />} isDisabled={!connected} onClick={props.onPaste}>
            Paste
          </Button>
        </ToolbarItem>
        <ToolbarItem>
          <Button variant="secondary" size="sm" icon={<CameraIcon />} isDisabled={!connected} onClick={props.onPicture}>
            Screenshot
          </Button>
        </ToolbarItem>
        <ToolbarItem>
          <ToggleGroup aria-label="Size" isCompact>
            <ToggleGroupItem
              text="Fit"
              buttonId="scale-fit"
              isSelected={scaling === "fit"}
              onChange={() => props.onScaling("fit")}
            />
            <ToggleGroupItem
              text="1:1"
              buttonId="scale-real"
              isSelected={scaling === "real"}
              onChange={() => props.onScaling("real")}
            />
          </ToggleGroup>
        </ToolbarItem>
        {props.onFull && (
          <ToolbarItem>
            <Button
              variant="secondary"
              size="sm"
              icon={full ? <CompressIcon /> : <ExpandIcon />}
              onClick={props.onFull}
            >
              {full ? "Leave full screen" : "Full screen"}
            </Button>
          </ToolbarItem>
        )}
      </ToolbarContent>
    </Toolbar>
  );
}

function Keys({ connected, onChord, room, way }: Props) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button
        ref={way}
        variant="secondary"
        size="sm"
        isDisabled={!connected}
        onClick={() => onChord("Ctrl-Alt-Del")}
        className="v-console-cad"
      >
        Ctrl-Alt-Del
      </Button>{" "}
      <Dropdown
        isOpen={open}
        onOpenChange={setOpen}
        onSelect={(_event, chord) => {
          setOpen(false);
          onChord(String(chord));
        }}
        shouldFocusToggleOnSelect={false} // the screen gets it
        popperProps={{ appendTo: room }}
        isScrollable
        toggle={(ref) => (
          <MenuToggle
            ref={ref}
            size="sm"
            variant="secondary"
            icon={<KeyboardIcon />}
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
