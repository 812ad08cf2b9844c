/** What the palette finds. Of many VMs, what can be done is put together only for those whose names fit. */
import { recentFirst } from "./shortcuts";

export interface Found {
  id: string;
  title: string;
  words?: string | undefined;
}

/** A VM, which is found by its addresses as well. */
interface Named {
  name: string;
  addresses?: readonly string[];
}

export interface Among<E extends Found, V extends Named> {
  before: readonly E[];
  /** Those used lately first. */
  vms: readonly V[];
  /** Its entries: each title is its name, or a verb and its name. */
  ofVm: (vm: V) => readonly E[];
  /** Every verb that there is. */
  verbs: string;
  after: readonly E[];
}

/** Every word must occur; what was used lately comes first, and before that what begins with the first word. */
export function found<E extends Found, V extends Named>(
  { before, vms, ofVm, verbs, after }: Among<E, V>,
  words: string,
  recent: readonly string[],
  most: number,
): E[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  const first = wanted[0];
  const fits = (title: string) => wanted.every((word) => title.includes(word));
  const begins = (one: E) => first === undefined || one.title.toLowerCase().startsWith(first);
  const fitting = (one: E) => fits(`${one.title} ${one.words ?? ""}`.toLowerCase());
  const ofVms: E[] = [];
  let begun = 0;
  for (const vm of vms) {
    if (!fits(`${verbs} ${vm.name.toLowerCase()} ${vm.addresses?.join(" ") ?? ""}`)) continue;
    for (const one of ofVm(vm).filter(fitting)) {
      if (begins(one)) begun += 1;
      else if (ofVms.length - begun >= most) continue;
      ofVms.push(one);
    }
    if (begun >= most) break;
  }
  const all = recentFirst([...before.filter(fitting), ...ofVms, ...after.filter(fitting)], recent);
  return [...all.filter(begins), ...all.filter((one) => !begins(one))].slice(0, most);
}

/** The VMs whose entries were used lately, then the others. */
export function lately<V extends { vmid: number }>(vms: readonly V[], recent: readonly string[]): V[] {
  const used = new Set(recent.map((id) => Number(/-(\d+)$/.exec(id)?.[1])));
  return [...vms.filter((vm) => used.has(vm.vmid)), ...vms.filter((vm) => !used.has(vm.vmid))];
}
