/** The uploads of this page: how far each has come, and what can be done with it. */
import {
  Button,
  Card,
  CardBody,
  CardHeader,
  CardTitle,
  Flex,
  FlexItem,
  Progress,
  ProgressMeasureLocation,
} from "@patternfly/react-core";
import { useState } from "react";
import { type Medium, useObject } from "@/api/live";
import { type Upload, uploadStatus, uploads, useUploads } from "@/api/upload";
import { useAction } from "@/ui/actions";
import { Confirm } from "@/ui/Confirm";
import { bytes, count, duration, rate } from "@/ui/format";
import { canImport } from "./content";
import { warningOf } from "./warning";

export function Uploading({ onImport }: { onImport: (medium: Medium) => void }) {
  const all = useUploads();
  const [asked, setAsked] = useState<Upload>();
  const act = useAction();
  if (all.length === 0) return null;
  const done = all.filter((one) => one.state === "done").length;
  const end = (upload: Upload) =>
    act({
      pending: `Cancelling the upload of ${upload.wanted.name}`,
      done: "Upload cancelled",
      do: () => uploads.cancel(upload.id),
    });
  return (
    <Card isCompact className="v-uploads" component="section" aria-label="Uploads">
      <CardHeader
        actions={
          done > 0
            ? {
                actions: (
                  <Button variant="link" isInline onClick={() => uploads.clear()}>
                    Clear finished uploads
                  </Button>
                ),
                hasNoOffset: true,
              }
            : undefined
        }
      >
        <CardTitle component="h2">{count(all.length, "upload")}</CardTitle>
      </CardHeader>
      <CardBody>
        {all.map((upload) => (
          <One
            key={upload.id}
            upload={upload}
            onCancel={() => (upload.state === "failed" ? void end(upload) : setAsked(upload))}
            onImport={onImport}
          />
        ))}
      </CardBody>
      {asked && (
        <Confirm
          title={`Cancel the upload of ${asked.wanted.name}?`}
          verb="Cancel the upload"
          no="Keep uploading"
          onConfirm={() => end(asked)}
          onClose={() => setAsked(undefined)}
        >
          The server discards the {bytes(asked.sent)} of {bytes(asked.size)} that it has. Pause the upload instead to
          finish it later.
        </Confirm>
      )}
    </Card>
  );
}

function One({
  upload,
  onCancel,
  onImport,
}: {
  upload: Upload;
  onCancel: () => void;
  onImport: (medium: Medium) => void;
}) {
  const { id, state, wanted } = upload;
  const medium = useObject("medium", upload.mid ?? "");
  const named = <span className="v-hidden-text"> {wanted.name}</span>;
  return (
    <div className="v-upload">
      <Flex justifyContent={{ default: "justifyContentSpaceBetween" }} alignItems={{ default: "alignItemsCenter" }}>
        <FlexItem grow={{ default: "grow" }}>
          <Progress
            id={`upload-${id}`}
            title={wanted.name}
            value={upload.size ? (100 * upload.sent) / upload.size : 0}
            valueText={`${bytes(upload.sent)} of ${bytes(upload.size)}`}
            label={`${Math.floor(upload.size ? (100 * upload.sent) / upload.size : 0)}%`}
            measureLocation={ProgressMeasureLocation.top}
            size="sm"
            variant={
              state === "failed"
                ? "danger"
                : state === "done"
                  ? upload.content?.warning
                    ? "warning"
                    : "success"
                  : undefined
            }
            helperText={<HowFar upload={upload} />}
          />
        </FlexItem>
        <FlexItem>
          {(state === "queued" || state === "sending" || state === "waiting") && (
            <Button variant="link" size="sm" onClick={() => uploads.pause(id)}>
              Pause{named}
            </Button>
          )}
          {state === "paused" && (
            <Button variant="link" size="sm" onClick={() => uploads.resume(id)}>
              Resume{named}
            </Button>
          )}
          {state === "failed" && upload.size > 0 && (
            <Button variant="link" size="sm" onClick={() => uploads.resume(id)}>
              Try again{named}
            </Button>
          )}
          {state === "done" && medium && canImport(medium) && (
            <Button variant="secondary" size="sm" onClick={() => onImport(medium)}>
              Make a disk from it…{named}
            </Button>
          )}
          {state !== "done" && state !== "finishing" && (
            <Button variant="link" size="sm" isDanger onClick={onCancel}>
              {state === "failed" ? "Remove" : "Cancel"}
              {named}
            </Button>
          )}
        </FlexItem>
      </Flex>
    </div>
  );
}

function HowFar({ upload }: { upload: Upload }) {
  if (upload.state === "sending" && !upload.note && upload.speed > 0)
    return (
      <>
        {bytes(upload.sent)} of {bytes(upload.size)}, {rate(upload.speed)}
        {upload.left !== undefined && `, about ${duration(upload.left)} left`}
      </>
    );
  if (upload.state === "done") return <>{warningOf(upload.content) ?? "Uploaded"}</>;
  return <>{uploadStatus(upload)}</>;
}
