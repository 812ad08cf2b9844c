/** The draft with all that is known around it: what is proposed, what is wrong with it, what the server says of it. */
import { useDeferredValue, useEffect, useMemo, useState } from "react";
import { ApiError, messageOf } from "@/api/http";
import { type Medium, type Pool, useMay, useObjects, usePools } from "@/api/live";
import type { CatalogueImage } from "@/api/schema";
import { uploads, useUpload } from "@/api/upload";
import { useAttachable } from "@/ui/attachable";
import { pathsOf, useGroupsWhere } from "@/ui/groups";
import { isOn } from "@/ui/hosts";
import { type Change, usePlan } from "@/ui/PlanSummary";
import { called } from "@/ui/permissions";
import { warningOf } from "../media/warning";
import { type Available, useAvailable } from "./available";
import { baseName, fetchedOf, useCatalogue } from "./catalogue";
import {
  DISKS,
  type Draft,
  type Field,
  type Known,
  makesDisk,
  type Problems,
  problems,
  proposed,
  type Role,
  roleOf,
  roleOfFile,
  type Source,
  suggestName,
} from "./draft";
import { type Kept, keepDraft, readDraft } from "./kept";
import { createVm, type Image, makeDisk } from "./requests";
import { type Order, useRun } from "./run";
import { beginUpload } from "./UploadHere";

/** Fields of the requests, as the questions call them. */
const FIELDS: Record<string, Field> = {
  name: "name",
  cpus: "cpus",
  memory_mib: "memory",
  gid: "gid",
  displays: "display",
  nics: "nic",
  forwards: "forwards",
  "cloud_init.user": "user",
  "cloud_init.ssh_keys": "sshKeys",
  "cloud_init.password_hash": "passwordHash",
};

export function useDraft() {
  const groups = useGroupsWhere("vm.create");
  const [kept] = useState(() => keptDraft(groups));
  const [gid, setGid] = useState(kept.gid ?? groups[0]?.gid ?? 0);
  const available = useAvailable(gid);
  const [typed, setTyped] = useState<Partial<Draft>>(kept.typed);
  const running = useRun();
  const may = useMay();
  const vms = useObjects("vm");
  const all = useAttachable(gid);
  const host = typed.host ?? "";
  const poolOf = usePoolOf();
  const media = useUsable(all, gid, host);
  const upload = useUpload(typed.source?.from === "upload" ? typed.source.id : undefined);
  const catalogue = useCatalogue();
  const { source: present } = typed;
  const named = present?.from === "catalogue" ? catalogue.find((one) => one.name === present.name) : undefined;
  const chosen = named ? fetchedOf(named, all, gid) : chosenOf(typed.source, all, upload?.mid);
  const role: Role = named ? "named" : chosen ? roleOf(chosen) : upload ? roleOfFile(upload.file) : "blank";
  // beside what is attached itself, a disk has to be on the same host
  const attached = chosen && (role === "cdrom" || typed.disk === "itself") ? poolOf(chosen)?.host?.id : undefined;
  const room = useOnHost(available, host || String(attached ?? ""));
  const mpid = room.pools.find((one) => one.mpid === typed.mpid)?.mpid ?? room.pools[0]?.mpid;
  const pool = room.pools.find((one) => one.mpid === mpid);
  const taken = useMemo(() => new Set(vms.filter((one) => one.gid === gid).map((one) => one.name)), [vms, gid]);
  const disks = useMemo(
    () => new Set(all.filter((one) => one.gid === gid && one.mpid === mpid).map((one) => one.name)),
    [all, gid, mpid],
  );
  const made = running.made;
  const draft = useMemo((): Draft => {
    const base = proposed(gid, room.left, pool?.left);
    const name = typed.name ?? suggestName(named?.name ?? chosen?.name ?? upload?.file, taken);
    const allowed = DISKS[role];
    const wanted = { ...base, ...typed, gid, mpid, name, start: (typed.start ?? true) && may("vm.state", gid) };
    const disk = allowed.includes(wanted.disk) ? wanted.disk : (allowed[0] ?? "none");
    return { ...wanted, disk, diskName: typed.diskName ?? freeName(`${name}-disk`, made?.disk ? new Set() : disks) };
  }, [
    gid,
    room.left,
    pool?.left,
    typed,
    named?.name,
    chosen?.name,
    upload?.file,
    taken,
    role,
    mpid,
    may,
    disks,
    made?.disk,
  ]);
  const image: Image | undefined = chosen
    ? { mid: chosen.mid, name: chosen.name, gid: chosen.gid, isCdrom: role === "cdrom", size: chosen.size }
    : named
      ? {
          mid: undefined,
          name: baseName(named, disks),
          gid,
          isCdrom: false,
          fetch: { image: named.name, server: named.server },
        }
      : upload && { mid: undefined, name: upload.wanted.name, gid, isCdrom: role === "cdrom" };
  const known: Known = {
    quota: room.quota,
    full: room.full,
    pool,
    asking: room.asking,
    imageSize: role === "packed" ? undefined : chosen?.size,
    vms: made?.vmid === undefined ? taken : new Set(),
    media: made?.disk ? new Set() : disks,
  };
  const local = problems(draft, known);
  const unlimited = problems(draft, { ...known, quota: undefined, pool: undefined, full: undefined });
  const lacksRoom = Object.keys(local).length > 0 && Object.keys(unlimited).length === 0;
  if (makesDisk(draft) && mpid === undefined && room.ready)
    local.gid ??= `The group may not create media in any pool${host ? " of that host" : ""}. Choose an existing disk, or ask for a pool.`;
  const sound = !running.run && Object.keys(local).length === 0 && typed.source !== undefined;
  const vm = useSettled<Change>(
    sound ? { method: "put", path: "/v/vm/efi", body: createVm(draft, image, made?.disk) } : undefined,
  );
  const disk = makeDisk(draft, image);
  const diskChange = useSettled<Change>(sound && disk && !made?.disk ? { method: "put", ...disk } : undefined);
  const vmPlan = usePlan(vm);
  const diskPlan = usePlan(diskChange);
  const { found, refused } = useMemo(
    () => withServer(local, vm && vmPlan.error, diskChange && diskPlan.error),
    [local, vm, vmPlan.error, diskChange, diskPlan.error],
  );
  const arrived = upload?.mid;
  useEffect(() => {
    keepDraft({ gid, typed: arrived ? { ...typed, source: { from: "medium", mid: arrived } } : typed });
  }, [gid, typed, arrived]);
  const source = (next: Source, change: Partial<Draft> = {}) => {
    if (upload && upload.state !== "done") void uploads.cancel(upload.id).catch(() => undefined);
    setTyped((before) => ({ ...before, source: next, ...change }));
  };
  return {
    groups,
    draft,
    role,
    room,
    media,
    catalogue,
    fetched: (one: CatalogueImage) => fetchedOf(one, all, gid) !== undefined,
    image,
    upload,
    running,
    problems: found,
    refused,
    /** Nothing is wrong but what a quota does not allow. */
    lacksRoom,
    vmError: vmPlan.error,
    diskError: diskPlan.error,
    warning: imageWarning(chosen, upload?.content),
    noUpload: noUpload(may("media.create", gid), mpid !== undefined, room.ready),
    hasSource:
      typed.source?.from === "upload"
        ? upload !== undefined && upload.state !== "failed"
        : named !== undefined || hasSource(typed.source, chosen),
    change: (change: Partial<Draft>) => setTyped((before) => ({ ...before, ...change })),
    setGroup: (next: number) => {
      setGid(next);
      if (typed.source?.from === "upload") source({ from: "blank" });
      setTyped((before) => ({ ...before, source: undefined, mpid: undefined }));
    },
    setHost: (next: string) => {
      const lost = chosen !== undefined && !named && !isOn(poolOf(chosen), next);
      setTyped((before) => ({ ...before, host: next, ...(lost && { source: undefined }) }));
    },
    setMedium: (one: Medium) => source({ from: "medium", mid: one.mid }),
    setNamed: (one: CatalogueImage) => source({ from: "catalogue", name: one.name }, { user: one.user }),
    setBlank: () => source({ from: "blank" }),
    setFile: (file: File) => {
      if (mpid !== undefined) source({ from: "upload", id: beginUpload(file, gid, mpid, disks) });
    },
    /** Done or given up: the next one begins anew. */
    forget: () => {
      keepDraft({ typed: {} });
      setTyped({});
    },
    order: (): Order => ({ draft, image, upload: image && !image.mid ? upload?.id : undefined }),
  };
}

/** What is left on a host; empty: on all. */
function useOnHost(available: Available, host: string): Available {
  return useMemo(() => ({ ...available, pools: available.pools.filter((one) => isOn(one, host)) }), [available, host]);
}

/** What was typed before a reload, as far as it still can be: an upload under way goes on under Media. */
function keptDraft(groups: readonly { gid: number }[]): Kept {
  const mid = new URLSearchParams(location.search).get("image"); // of the page of a medium
  if (mid !== null) return { typed: { source: { from: "medium", mid } } };
  const { gid, typed } = readDraft();
  if (gid !== undefined && !groups.some((one) => one.gid === gid)) return { typed: {} };
  const lost = typed.source?.from === "upload" && uploads.get(typed.source.id) === undefined;
  return { ...(gid === undefined ? {} : { gid }), typed: lost ? { ...typed, source: undefined } : typed };
}

const hasSource = (source: Source | undefined, chosen: Medium | undefined): boolean =>
  source?.from === "blank" || chosen !== undefined;

function usePoolOf(): (medium: Medium) => Pool | undefined {
  const pools = usePools();
  return useMemo(() => {
    const known = new Map(pools.map((one) => [one.mpid, one]));
    return (medium) => known.get(medium.mpid);
  }, [pools]);
}

/** What a group can attach on that host: what is its own or an ancestor's, or of a group whose media one may list. All of those are here. */
function useUsable(all: readonly Medium[], gid: number, host: string): Medium[] {
  const groups = useObjects("group");
  const may = useMay();
  const poolOf = usePoolOf();
  return useMemo(() => {
    const paths = pathsOf(groups);
    const own = (one: Medium) => (one.gid === gid ? 0 : 1);
    const isShared = (one: Medium) => one.readonly && one.type.toUpperCase() === "ISO";
    return all
      .filter((one) => one.gid === gid || may("media.list", one.gid) || isShared(one) || isAbove(one.gid, gid, paths))
      .filter((one) => !(roleOf(one) === "disk" && one.used_by.some((vm) => vm.writing)))
      .filter((one) => one.content?.format !== "blank" && isOn(poolOf(one), host))
      .sort(
        (a, b) => own(a) - own(b) || rank(a) - rank(b) || a.name.localeCompare(b.name, undefined, { numeric: true }),
      );
  }, [all, gid, groups, may, poolOf, host]);
}

const isAbove = (upper: number, lower: number, paths: Map<number, string>): boolean => {
  const above = paths.get(upper);
  return upper === 0 || (above !== undefined && (paths.get(lower) ?? "").startsWith(`${above}/`));
};
const RANK: Record<Role, number> = { cdrom: 0, packed: 1, disk: 2, named: 2, blank: 3 };
const rank = (one: Medium): number => RANK[roleOf(one)];

function chosenOf(
  source: Source | undefined,
  all: readonly Medium[],
  uploaded: string | undefined,
): Medium | undefined {
  const mid = source?.from === "medium" ? source.mid : source?.from === "upload" ? uploaded : undefined;
  return mid === undefined ? undefined : all.find((one) => one.mid === mid);
}

function freeName(name: string, taken: ReadonlySet<string>): string {
  if (!taken.has(name)) return name;
  for (let number = 2; ; number += 1) if (!taken.has(`${name}-${number}`)) return `${name}-${number}`;
}

function imageWarning(chosen: Medium | undefined, uploaded: Medium["content"]): string | undefined {
  const told = warningOf(chosen?.content) ?? warningOf(uploaded);
  if (told) return told;
  if (chosen?.content?.boots_efi === false) return "It does not boot with EFI, and VMs here have EFI firmware.";
  return undefined;
}

function noUpload(may: boolean, pool: boolean, ready: boolean): string | undefined {
  if (!may) return `Uploading to this group needs the permission ${called("media.create")}.`;
  if (!ready) return "Looking for a pool.";
  if (!pool) return "This group may not create media in any pool: ask for one to be assigned to it with manage.";
  return undefined;
}

/** What the server refuses, at its field if it names one that is asked for. */
function withServer(local: Problems, ...errors: unknown[]): { found: Problems; refused: string | undefined } {
  const found = { ...local };
  let refused: string | undefined;
  for (const error of errors) {
    if (!(error instanceof ApiError) || error.status === 0) continue;
    const named = (error.field ?? "").replace(/\[.*/, "");
    const field = FIELDS[named] ?? FIELDS[named.split(".")[0] ?? ""];
    if (field) found[field] ??= messageOf(error);
    else refused ??= messageOf(error);
  }
  return { found, refused };
}

const TYPING_DELAY_MS = 350;

/** The value when it has not changed for a moment: typing asks the server nothing, nor counts what it said of another. */
function useSettled<T>(value: T | undefined): T | undefined {
  const text = JSON.stringify(value);
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), TYPING_DELAY_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const present = useDeferredValue(settled);
  return useMemo(
    () => (present === undefined || present !== text ? undefined : (JSON.parse(present) as T)),
    [present, text],
  );
}
