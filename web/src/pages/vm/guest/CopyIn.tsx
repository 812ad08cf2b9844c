/** A file of this computer, written into the guest by its agent. */
import { FormGroup, TextInput } from "@patternfly/react-core";
import { useState } from "react";
import { toBase64 } from "@/api/base64";
import { call } from "@/api/call";
import { useAction } from "@/ui/actions";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { bytes } from "@/ui/format";
import { useGroupPath } from "@/ui/groups";
import { vmWords } from "@/ui/vmCli";
import type { OfGuest } from "./dialog";
import { inGuest } from "./files";

/** Bytes that a request takes of a file. */
const PIECE = 512 << 10;

export function CopyIn({ vm, onClose }: OfGuest) {
  const act = useAction();
  const group = useGroupPath();
  const refusal = useRefusal(["path", "content"]);
  const [file, setFile] = useState<File>();
  const [typed, setTyped] = useState("");
  const path = /[/\\]$/.test(typed) ? typed + (file?.name ?? "") : typed;
  return (
    <FormDialog
      title={`Copy a file into ${vm.name}`}
      verb="Copy"
      ready={file !== undefined && path !== ""}
      missing={file === undefined ? "Choose a file." : "Type where it is to be in the guest."}
      refusal={refusal.last}
      cli={[
        "velocity",
        "vm",
        "cp",
        file?.name ?? "file",
        inGuest(vm, path),
        ...vmWords({ ...vm, path: group(vm.gid) }, []).slice(1),
      ]}
      request={{ method: "put", path: "/v/vm/guest/file", body: { vmid: vm.vmid, path, content: "…" } }}
      onSubmit={() =>
        act({
          pending: `Copying ${file?.name} into ${vm.name}`,
          done: `${path} copied to ${vm.name}: ${bytes(file?.size ?? 0)}`,
          do: () => refusal.during(() => write(vm.vmid, path, file as File)),
        })
      }
      onClose={onClose}
    >
      <FormGroup label="File" fieldId="copy-file" isRequired>
        <input
          id="copy-file"
          className="v-file-input"
          type="file"
          required
          onChange={(event) => setFile(event.currentTarget.files?.[0])}
        />
      </FormGroup>
      <FormGroup label="Path in the guest" fieldId="copy-path" isRequired>
        <TextInput
          id="copy-path"
          value={typed}
          onChange={(_event, value) => setTyped(value)}
          placeholder="/root/"
          validated={refusal.at("path") ? "error" : "default"}
          autoComplete="off"
          spellCheck={false}
          isRequired
        />
        <Hint wrong={refusal.at("path")}>
          A path that ends with a slash is a folder. A file that is there is overwritten.
        </Hint>
      </FormGroup>
    </FormDialog>
  );
}

async function write(vmid: number, path: string, file: File): Promise<void> {
  for (let offset = 0; offset === 0 || offset < file.size; offset += PIECE) {
    const piece = new Uint8Array(await file.slice(offset, offset + PIECE).arrayBuffer());
    await call("put", "/v/vm/guest/file", { vmid, path, content: toBase64(piece), offset });
  }
}
