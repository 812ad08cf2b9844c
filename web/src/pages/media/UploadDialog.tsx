/** What the chosen files are to be called and where they go, before they are uploaded. */
import { Button, Flex, FlexItem } from "@patternfly/react-core";
import { useRef, useState } from "react";
import { typeOf, uploads } from "@/api/upload";
import { Icon } from "@/look/Icon";
import { FormDialog } from "@/ui/FormDialog";
import { bytes, count } from "@/ui/format";
import { groupOption, idWord } from "@/ui/vmCli";
import { useDrop } from "./drop";
import { FileInput } from "./FileInput";
import { type Chosen, namesOf, problemsOf } from "./naming";
import { OneFile } from "./OneFile";
import { roomProblem } from "./rules";
import { TargetFields } from "./TargetFields";
import { useTarget } from "./target";

const UPLOAD = { method: "put", path: "/m/media/upload", body: {} } as const;
let last = 0;
const chosen = (file: File): Chosen => {
  last += 1;
  return { id: last, file, type: typeOf(file.name), readonly: false };
};

export function UploadDialog({ files, onClose }: { files: File[]; onClose: () => void }) {
  const target = useTarget();
  const [list, setList] = useState(() => files.map(chosen));
  const input = useRef<HTMLInputElement>(null);
  const choose = () => input.current?.click();
  const add = (more: File[]) => setList((before) => [...before, ...more.map(chosen)]);
  const over = useDrop(add);
  const none = list.length === 0;
  const names = namesOf(list, target.taken);
  const size = list.reduce((sum, one) => sum + one.file.size, 0);
  const room = roomProblem(target.pool, size, target, { written: true });
  const change = (id: number, what: Partial<Chosen>) =>
    setList((before) => before.map((one) => (one.id === id ? { ...one, ...what } : one)));
  const problems = list.map((one, index) => problemsOf(one, index, names, target.taken));
  const sound =
    list.length > 0 && target.mpid !== undefined && problems.every((one) => !one.name && !one.type && !one.file);
  const empty = list.find((one) => one.file.size === 0);
  const [first] = list;
  const headers = {
    "x-velocity-gid": String(target.gid),
    "x-velocity-mpid": String(target.mpid ?? ""),
    "x-velocity-name": encodeURIComponent(names[0] ?? ""),
    "x-velocity-type": first?.type ?? "DISK",
    "x-velocity-readonly": String(first?.readonly ?? false),
  };
  const submit = async () => {
    if (target.mpid === undefined) return false;
    for (const [index, one] of list.entries()) {
      const name = names[index] ?? one.file.name;
      uploads.add(one.file, {
        gid: target.gid,
        mpid: target.mpid,
        name,
        type: one.type.trim(),
        readonly: one.readonly,
      });
    }
    return true;
  };
  return (
    <FormDialog
      title={list.length < 2 ? "Upload a medium" : `Upload ${count(list.length, "medium", "media")}`}
      about={`${none ? "" : `${bytes(size)}${list.length > 1 ? " in total" : ""}. `}It continues while you use other pages, and resumes after an interruption.`}
      verb="Upload"
      ready={sound && !room}
      lacking={sound ? room : undefined}
      missing={
        none
          ? "Choose a file first."
          : empty && `${empty.file.name} is empty: ${list.length > 1 ? "take it off the list" : "choose another file"}.`
      }
      cli={[
        ...["velocity", "media", "upload", first?.file.name ?? "FILE", "--name", names[0] ?? "NAME"],
        ...["--type", first?.type ?? "DISK", ...(first?.readonly ? ["--readonly"] : [])],
        ...[...groupOption(target.gid, target.path), "--pool", idWord(target.mpid ?? "")],
      ]}
      request={none ? [] : { ...UPLOAD, file: first?.file.name ?? "FILE", headers }}
      onSubmit={submit}
      onClose={onClose}
    >
      {list.map((one, index) => (
        <OneFile
          key={one.id}
          one={one}
          name={names[index] ?? ""}
          problem={problems[index] ?? {}}
          onChange={(what) => change(one.id, what)}
          onRemove={list.length > 1 ? () => setList(list.filter((other) => other.id !== one.id)) : undefined}
        />
      ))}
      <div className={over ? "v-drop-area v-drop-area-over" : "v-drop-area"}>
        <Flex alignItems={{ default: "alignItemsCenter" }} gap={{ default: "gapMd" }}>
          <FlexItem>
            <Icon name="upload" />
          </FlexItem>
          <FlexItem grow={{ default: "grow" }}>
            {none ? "Drop ISOs or disk images here" : "Drop more files here"}
          </FlexItem>
          <FlexItem>
            <Button variant="secondary" data-first onClick={choose}>
              {none ? "Choose files" : "Add files"}
            </Button>
          </FlexItem>
        </Flex>
        <FileInput inputRef={input} onFiles={add} label="Files to upload" opens={none} />
      </div>
      {!none && <TargetFields target={target} poolProblem={room} />}
    </FormDialog>
  );
}
