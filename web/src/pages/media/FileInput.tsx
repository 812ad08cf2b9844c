/** The browser's own choice of files, opened by a button elsewhere. */
import { type RefObject, useEffect } from "react";

export function FileInput({
  inputRef,
  label,
  opens = false,
  onFiles,
}: {
  inputRef: RefObject<HTMLInputElement | null>;
  label: string;
  /** At once, where the browser asks for no other click before. */
  opens?: boolean;
  onFiles: (files: File[]) => void;
}) {
  // biome-ignore lint/correctness/useExhaustiveDependencies: once
  useEffect(() => {
    if (opens) inputRef.current?.click();
  }, []);
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
