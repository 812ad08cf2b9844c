/** The server's messages for users of the page: names instead of ids, the page's terms instead of the API's. */
import { mib } from "../format";
import { called as permissionCalled } from "../permissions";
import { sentenceOf } from "./refusals";

/** The names of things, as far as the user may see them. */
export interface Names {
  vm: (vmid: number) => string | undefined;
  medium: (mid: string) => string | undefined;
  group: (gid: number) => string | undefined;
  user: (uid: number) => string | undefined;
  pool: (mpid: number) => string | undefined;
}

/** The name of group 0; `/` on the command line. */
export const ROOT_NAME = "root group";
export const ROOT_GROUP = `the ${ROOT_NAME}`;

type Rule = [pattern: RegExp, by: (match: string[], names: Names) => string];

const word =
  (text: string): Rule[1] =>
  (_match) =>
    text;
const UUID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}";
const MEDIUM = new RegExp(`\\bmedium (${UUID})\\b`, "g");
const STATES = /\b(STOPPED|STARTING|RUNNING|PAUSING|PAUSED|RESUMING|STOPPING)\b/g;

/** Where the server's messages name a command, the page has a menu item of a host. */
const BUTTONS: readonly Rule[] = [
  [/`velocity node confirm-dead [^`]*`(?: says so)?/g, word("“Confirm that it is off…” in its menu says so")],
  [/`velocity node fence [^`]* --now`/g, word("“Power off…” there")],
  [/`velocity node fence [^`]* --blocklist`/g, word("“Blocklist on Ceph…” there")],
  [/`velocity node set [^`]* --address`/g, word("“Edit…” in its menu")],
  [/`velocity node token --again [^`]*`(?: here)?/g, word("“Let it join again…” in its menu")],
];

/** In this order. */
const RULES: readonly Rule[] = [
  // what one does at a terminal or through the API, and what is said of it
  ...BUTTONS,
  [/ ?\((?=[^()]*(?:`velocity |\b(?:POST|PUT|PATCH|DELETE) \/))[^()]*\)/g, word("")],
  [/[:;,]? ?(?:with |use )?\b(?:POST|PUT|PATCH|DELETE) \/[\w/]+(?: lists [\w ]+)?/g, word("")],
  [/\b(?:memory_mib|cpus) is \d+: ?/g, word("")],
  [/\bmax_cpus\b/g, word("a maximum of CPUs")],
  [/\bmax_memory_mib\b/g, word("a maximum of memory")],
  [/\ba VM on this host can have 1 to (\d+)$/g, ([, number]) => `a VM can have up to ${number}`],
  [/\b1 to (\d+) MiB\b/g, ([, number]) => `up to ${mib(Number(number))}`],
  [/\b(\d{4,}) MiB\b/g, ([, number]) => mib(Number(number))],
  [
    /(?<=\bon |, |\()([^\s,;()](?:(?! on )[^,;()])*) \((\d+)\)/g,
    ([, path, gid]) => (gid === "0" ? ROOT_GROUP : (path ?? "")),
  ],
  [new RegExp(`\\bno medium ${UUID}\\b`, "g"), word("no such medium")],
  [new RegExp(`\\b(?:medium )?(${UUID})\\b`, "g"), ([, mid], names) => called("medium", names.medium(mid ?? ""))],
  [/\bVM (\d+)\b/g, ([text, id], { vm }) => called("VM", vm(Number(id)), text)],
  [/\bpool (\d+)\b/g, ([text, id], { pool }) => called("pool", pool(Number(id)), text)],
  [/\buser (\d+)\b/g, ([text, id], { user }) => called("user", user(Number(id)), text)],
  [/\bgroup (\d+)\b/g, ([text, id], { group }) => (id === "0" ? ROOT_GROUP : called("group", group(Number(id)), text))],
  [/(?<=\b(?:on|of|to) )\/(?=[\s:;,.]|$)/g, word(ROOT_GROUP)],
  [/\bvelocity\.[a-z]+\.[a-z]+/g, ([permission]) => permissionCalled(permission ?? "")],
  [/(?:with )?`readonly`/g, word("read-only")],
  [/`([^`]*)`/g, ([, text]) => `“${text}”`],
  [STATES, ([state]) => (state ?? "").toLowerCase()],
];

function called(kind: string, name: string | undefined, otherwise = `a ${kind} that you do not see`): string {
  return name === undefined ? otherwise : `${kind} ${name}`;
}

export const inWords = (message: string, names: Names): string => by(RULES, message, names).trim();

/** Why a VM is in its state: the server names media by their ids there, as all who see the VM read it. */
export const withMediaNames = (message: string, names: Pick<Names, "medium">): string =>
  message.replace(MEDIUM, (_match, mid: string) => called("medium", names.medium(mid)));

/** The server's messages about a host; commands for its terminal stay. */
export const hostWords = (message: string, names: Names): string => ended(by(BUTTONS, message, names));

function by(rules: readonly Rule[], message: string, names: Names): string {
  let text = message;
  for (const [pattern, say] of rules) text = text.replace(pattern, (...match: string[]) => say(match, names));
  return text;
}

/** A refusal: the page's sentence, then a colon and the server's message. */
export function refusalWords(code: number, message: string, names: Names): string {
  const sentence = sentenceOf(code);
  if (sentence !== undefined && !sentence.endsWith(":")) return sentence;
  const told = ended(inWords(message, names));
  if (sentence === undefined) return upper(told);
  const subject = /(\w+):$/.exec(sentence)?.[1];
  return `${sentence} ${subject ? told.replace(new RegExp(`^${subject}: `, "i"), "") : told}`;
}

/** A message of the server as a sentence. */
export const asSentence = (message: string, names: Names): string => upper(ended(inWords(message, names)));

const ended = (text: string): string => (/[.!?…]$/.test(text) ? text : `${text}.`);
const upper = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
