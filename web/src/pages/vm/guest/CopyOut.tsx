/** A file of the guest, read by its agent and given to the browser. */
import { FormGroup, TextInput } from "@patternfly/react-core";
import { useState } from "react";
import { fromBase64 } from "@/api/base64";
import { call } from "@/api/call";
import { useAction } from "@/ui/actions";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { bytes } from "@/ui/format";
import { useGroupPath } from "@/ui/groups";
import { vmWords } from "@/ui/vmCli";
import type { OfGuest } from "./dialog";
import { fileName, inGuest } from "./files";

export function CopyOut({ vm, onClose }: OfGuest) {
  const act = useAction();
  const group = useGroupPath();
  const refusal = useRefusal(["path"]);
  const [path, setPath] = useState("");
  const name = fileName(path);
  return (
    <FormDialog
      title={`Copy a file out of ${vm.name}`}
      verb="Copy"
      ready={name !== ""}
      missing="Type the path of a file."
      refusal={refusal.last}
      cli={["velocity", "vm", "cp", inGuest(vm, path), name, ...vmWords({ ...vm, path: group(vm.gid) }, []).slice(1)]}
      request={{ method: "post", path: "/v/vm/guest/file", body: { vmid: vm.vmid, path } }}
      onSubmit={() =>
        act({
          pending: `Copying ${name} out of ${vm.name}`,
          done: (size) => `${name} copied: ${bytes(size)}`,
          do: () => refusal.during(async () => save(name, await read(vm.vmid, path))),
        })
      }
      onClose={onClose}
    >
      <FormGroup label="Path in the guest" fieldId="copy-path" isRequired>
        <TextInput
          id="copy-path"
          value={path}
          onChange={(_event, value) => setPath(value)}
          placeholder="/var/log/syslog"
          validated={refusal.at("path") ? "error" : "default"}
          autoComplete="off"
          spellCheck={false}
          isRequired
        />
        <Hint wrong={refusal.at("path")}>To copy a folder, pack it first: “Run a command” with tar.</Hint>
      </FormGroup>
    </FormDialog>
  );
}

async function read(vmid: number, path: string): Promise<Blob> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  for (let offset = 0; ; ) {
    const { content, end } = await call("post", "/v/vm/guest/file", { vmid, path, offset });
    const piece = fromBase64(content);
    pieces.push(piece);
    offset += piece.length;
    if (end) return new Blob(pieces, { type: "application/octet-stream" });
  }
}

/** As a download. Answers with its size. */
function save(name: string, content: Blob): number {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  return content.size;
}
