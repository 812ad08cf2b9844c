/** A file dropped or chosen is uploaded at once, while one goes on with the questions. */
import { Alert, Button, Flex, FlexItem, Progress } from "@patternfly/react-core";
import { type DragEvent, useRef, useState } from "react";
import { typeOf, type Upload, uploadStatus, uploads, useUpload } from "@/api/upload";
import { Icon } from "@/look/Icon";
import { bytes, duration, rate } from "@/ui/format";

export function UploadHere({
  upload,
  refuse,
  onFile,
}: {
  upload: number | undefined;
  /** Why nothing can be uploaded. */
  refuse: string | undefined;
  onFile: (file: File) => void;
}) {
  const input = useRef<HTMLInputElement>(null);
  const [over, setOver] = useState(false);
  const present = useUpload(upload);
  const drop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    const file = event.dataTransfer.files[0];
    if (file && !refuse) onFile(file);
  };
  if (refuse) return <Alert isInline isPlain variant="info" title={refuse} />;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: dropping has the button beside it for those who cannot drag
    <div
      className={over ? "v-drop-area v-drop-area-over" : "v-drop-area"}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
    >
      {present ? (
        <UploadProgress upload={present} />
      ) : (
        <Flex alignItems={{ default: "alignItemsCenter" }} gap={{ default: "gapMd" }}>
          <FlexItem>
            <Icon name="upload" />
          </FlexItem>
          <FlexItem grow={{ default: "grow" }}>Drop an ISO or a disk image here</FlexItem>
          <FlexItem>
            <Button variant="secondary" onClick={() => input.current?.click()}>
              Choose a file
            </Button>
          </FlexItem>
        </Flex>
      )}
      <input
        ref={input}
        type="file"
        hidden
        onChange={(event) => {
          const file = event.target.files?.[0];
          event.target.value = "";
          if (file) onFile(file);
        }}
      />
    </div>
  );
}

export function UploadProgress({ upload }: { upload: Upload }) {
  const { id, state, sent, size, speed, left } = upload;
  const facts = [
    `${bytes(sent)} of ${bytes(size)}`,
    speed > 0 && rate(speed),
    left !== undefined && `${duration(left)} left`,
  ].filter(Boolean);
  return (
    <>
      <Progress
        title={upload.wanted.name}
        value={Math.floor((100 * sent) / Math.max(1, size))}
        variant={state === "failed" ? "danger" : state === "done" ? "success" : undefined}
        helperText={state === "sending" && !upload.note ? facts.join(", ") : uploadStatus(upload)}
      />
      <Flex className="v-space-above" gap={{ default: "gapSm" }}>
        {(state === "sending" || state === "waiting" || state === "queued") && (
          <Button variant="secondary" size="sm" onClick={() => uploads.pause(id)}>
            Pause
          </Button>
        )}
        {(state === "paused" || (state === "failed" && size > 0)) && (
          <Button variant="secondary" size="sm" onClick={() => uploads.resume(id)}>
            {state === "paused" ? "Continue" : "Try again"}
          </Button>
        )}
        <Button variant="link" size="sm" onClick={() => void uploads.cancel(id).catch(() => undefined)}>
          {state === "done" ? "Choose another file" : "Cancel the upload"}
        </Button>
      </Flex>
    </>
  );
}

/** Begins it under a name that is free. */
export function beginUpload(file: File, gid: number, mpid: number, taken: ReadonlySet<string>): number {
  let name = file.name;
  for (let number = 2; taken.has(name); number += 1) name = file.name.replace(/(\.[^.]*)?$/, ` ${number}$1`);
  return uploads.add(file, { gid, mpid, name, type: typeOf(file.name), readonly: false });
}
