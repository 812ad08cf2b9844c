/** A small button that copies what is beside it. */
import { useEffect, useState } from "react";
import { Icon } from "@/look/Icon";
import { showToast } from "./actions";
import { copyText } from "./copy";

const TOLD_MS = 1500;

/** `name` describes it: "MAC address 52:54:…". */
export function CopyButton({ text, name }: { text: string; name: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), TOLD_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    if (await copyText(text)) setCopied(true);
    else showToast("warning", "The browser does not allow copying", text);
  };
  return (
    <button
      type="button"
      className="v-plain v-copy"
      aria-label={copied ? "Copied" : `Copy ${name}`}
      title={copied ? "Copied" : "Copy"}
      onClick={() => void copy()}
    >
      <Icon name={copied ? "check" : "copy"} />
    </button>
  );
}
