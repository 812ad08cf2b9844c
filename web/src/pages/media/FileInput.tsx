/** The browser's own choice of files, opened by a button elsewhere. */
import type { RefObject } from "react";

export function FileInput({
  inputRef,
  label,
  onFiles,
}: {
  inputRef: RefObject<HTMLInputElement | null>;
  label: string;
  onFiles: (files: File[]) => void;
}) {
  return (
    <input
      ref={inputRef}
      type="file"
      multiple
      hidden
      aria-label={label}
      onChange={(event) => {
        const files = [...(event.target.files ?? [])];
        event.target.value = ""; // the same file may be chosen again
        if (files.length > 0) onFiles(files);
      }}
    />
  );
}
