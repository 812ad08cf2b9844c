/** The names of files that are uploaded together, and what is wrong with them. */
import { typeProblem } from "@/ui/problems";
import { freeName, mediumNameProblem } from "./rules";

export interface Chosen {
  id: number;
  file: File;
  /** As it was typed; absent: the file's. */
  name?: string;
  type: string;
  readonly: boolean;
}

export interface Problems {
  file?: string;
  name?: string;
  type?: string;
}

/** What was typed stays; a file's own name steps aside for what is taken. */
export function namesOf(list: readonly Chosen[], taken: ReadonlySet<string>): string[] {
  const all = new Set([...taken, ...list.flatMap((one) => one.name ?? [])]);
  return list.map((one) => {
    if (one.name !== undefined) return one.name;
    const name = freeName(one.file.name, all);
    all.add(name);
    return name;
  });
}

export function problemsOf(one: Chosen, index: number, names: readonly string[], taken: ReadonlySet<string>): Problems {
  const name = names[index] ?? "";
  const twice = names.some((other, at) => at !== index && other === name);
  return {
    file: one.file.size === 0 ? "The file is empty." : undefined,
    name: mediumNameProblem(name, taken) ?? (twice ? "Two of these files have the same name." : undefined),
    type: typeProblem(one.type),
  };
}
