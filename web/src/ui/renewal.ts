/** Reloads the page: missing parts may exist under another name, as after an upgrade. */
import { useEffect, useState } from "react";
import { at } from "@/api/base";
import { readTab, writeTab } from "@/api/stored";
import { hasUnsaved } from "@/api/unsaved";

/** `asking`: whether the server responds; `silent`: it does not; `offered`: the user decides. */
export type Renewal = "asking" | "silent" | "offered";

/** The message meanwhile. */
export const TOLD: Record<Renewal, { title: string; body: string }> = {
  asking: { title: "This could not be loaded", body: "Checking whether the server responds." },
  silent: { title: "The server does not respond", body: "This is loaded as soon as it does." },
  offered: {
    title: "The server has a newer page",
    body: "Reload the page to continue. Changes that are not saved are lost, and uploads stop: the browser asks first.",
  },
};

const RENEWED = "renewed";
/** Milliseconds. */
const RETRY = 2000;
const ANSWER_LIMIT = 10_000;
/** Not repeated within this time: a reload would not help then. */
const PAUSE = 60_000;

/** Reload the page if the server responds, nothing is lost by it, and it was not done just now. */
export async function renew(): Promise<Renewal> {
  if (!(await isServed())) return "silent";
  if (!mayRenew()) return "offered";
  location.reload();
  return "asking"; // the last that is seen of this one
}

/** The same, as soon as the server responds. */
export function useRenewal(): Renewal {
  const [state, set] = useState<Renewal>("asking");
  useEffect(() => {
    let over = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async () => {
      const found = await renew();
      if (over) return;
      set(found);
      if (found === "silent") timer = setTimeout(() => void look(), RETRY);
    };
    void look();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, []);
  return state;
}

async function isServed(): Promise<boolean> {
  try {
    const response = await fetch(at("/"), { cache: "no-store", signal: AbortSignal.timeout(ANSWER_LIMIT) });
    return response.ok;
  } catch {
    return false;
  }
}

/** Note the reload. Without storage in the browser, repeated reloads could not be noticed. */
function mayRenew(): boolean {
  const now = Date.now();
  if (hasUnsaved() || now - readTab(RENEWED, 0) < PAUSE) return false;
  writeTab(RENEWED, now);
  return readTab(RENEWED, 0) === now;
}
