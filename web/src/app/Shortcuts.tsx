/** What it is, where more is said, and what can be done by single keys. */
import { Checkbox, Modal, ModalBody, ModalHeader } from "@patternfly/react-core";
import { useState } from "react";
import { at } from "@/api/base";
import { readStored, writeStored } from "@/api/stored";
import { PLACES } from "./places";
import { GO, KEY_WORDS, PLACE_KEYS } from "./shortcuts";
import { SWITCH } from "./useShortcuts";

export default function Shortcuts({ onClose }: { onClose: () => void }) {
  const [on, setOn] = useState(() => readStored(SWITCH, true));
  const placeOf = (path: string) => PLACES.find((one) => one.path === path)?.title ?? path;
  const rows: [string[], string][] = [
    [["Ctrl", "K"], "Search or run anything"],
    ...Object.entries(KEY_WORDS).map(([key, words]): [string[], string] => [[key], words]),
    ...Object.entries(PLACE_KEYS).map(([key, path]): [string[], string] => [[GO, key], placeOf(path)]),
    [["↑", "↓"], "In a table: the row above, the row below"],
  ];
  return (
    <Modal isOpen onClose={onClose} variant="small" aria-labelledby="shortcuts">
      <ModalHeader title="Help" labelId="shortcuts" description={`Velocity ${VERSION}`} />
      <ModalBody>
        <ul className="v-lines v-plain-list">
          <li>
            <a href={at("/openapi.json")} target="_blank" rel="noreferrer">
              The API as an OpenAPI document
            </a>
          </li>
          <li>
            The command line: <code>velocity --help</code>
          </li>
          <li>
            The host, when something does not work: <code>velocity doctor</code>
          </li>
        </ul>
        <h2 className="v-section-title v-space-above">Keyboard shortcuts</h2>
        <table className="v-shortcuts">
          <tbody>
            {rows.map(([keys, words]) => (
              <tr key={keys.join()}>
                <th scope="row">
                  {keys.map((key) => (
                    <kbd key={key}>{key}</kbd>
                  ))}
                </th>
                <td>{words}</td>
              </tr>
            ))}
          </tbody>
        </table>
        <Checkbox
          id="shortcuts-on"
          className="v-space-above"
          label="Single-key shortcuts"
          description="Turn them off if your keyboard or dictation triggers them by accident. Ctrl-K and the arrows stay."
          isChecked={on}
          onChange={(_event, chosen) => {
            setOn(chosen);
            writeStored(SWITCH, chosen);
          }}
        />
      </ModalBody>
    </Modal>
  );
}
