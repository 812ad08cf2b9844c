/** The settings of a VM: the page's words for each, and when a change takes effect. */
import type { AlterVm, VmInfo } from "@/api/schema";

export type Setting = Exclude<
  keyof AlterVm,
  "vmid" | "name" | "revision" | "plan" | "firmware" | "machine_type" | "hardware" | "new_instance"
>;
export type VmSettings = Pick<VmInfo, Setting>;

interface Words {
  /** Its label. */
  title: string;
  /** Its name in sentences. */
  word: string;
  /** While the VM runs, changes wait for the next start. */
  waits: boolean;
}

export const SETTINGS: Record<Setting, Words> = {
  cpus: { title: "CPUs", word: "CPUs", waits: true },
  memory_mib: { title: "Memory", word: "memory", waits: true },
  displays: { title: "Displays", word: "displays", waits: true },
  media: { title: "Media", word: "media", waits: false },
  drives: { title: "Empty CD-ROM drives", word: "empty drives", waits: false },
  nics: { title: "NICs", word: "NICs", waits: true },
  forwards: { title: "Port forwards", word: "port forwards", waits: true },
  input: { title: "Keyboard and pointer", word: "keyboard and pointer", waits: true },
  cpu: { title: "CPU model", word: "CPU model", waits: true },
  autostart: { title: "Start when the server starts", word: "start with the server", waits: false },
  rosetta: { title: "Rosetta", word: "Rosetta", waits: true },
  balloon: { title: "Gives freed memory back", word: "the balloon", waits: true },
  max_cpus: { title: "Maximum CPUs", word: "the maximum of CPUs", waits: true },
  max_memory_mib: { title: "Maximum memory", word: "the maximum of memory", waits: true },
  notes: { title: "Notes", word: "notes", waits: false },
  spread: { title: "Apart from others by", word: "what it is apart by", waits: false },
  together: { title: "Together with others by", word: "what it is together by", waits: false },
  host_labels: { title: "Labels of its host", word: "the labels of its host", waits: false },
  ha: { title: "Restart after a failure", word: "the restart after a failure", waits: false },
  start_order: { title: "Start order", word: "the start order", waits: false },
  cloud_init: { title: "Log in (cloud-init)", word: "cloud-init", waits: true },
};

/** Only the settings. */
export const pickSettings = (from: VmSettings): VmSettings =>
  Object.fromEntries(Object.keys(SETTINGS).map((name) => [name, from[name as Setting]])) as unknown as VmSettings;

/** What waits for the next start, as a list in words. */
export const waitingWords = (waiting: readonly string[]): string =>
  waiting.map((name) => SETTINGS[name as Setting]?.word ?? name.replaceAll("_", " ")).join(", ");
