/** Each form that can be refused has its answer by the one component, outside what scrolls. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const SRC = join(import.meta.dirname, "../src");
/** Forms that need no such answer, and why. */
const WITHOUT = {
  "pages/signin/SignInForm.tsx": "three lines, in the first load: its answer stands above them",
  "pages/vm/console/Paste.tsx": "types into the guest: the server is not asked",
  "pages/vm/serial/PasteText.tsx": "types into the guest: the server is not asked",
  "pages/vms/ScreenSearch.tsx": "a search: its answer is the result",
  "ui/why/WhyDialog.tsx": "a question: its answer is the result",
  "pages/create/ImageStep.tsx": "a step of the wizard, whose footer has the answer",
  "pages/create/SettingsStep.tsx": "a step of the wizard, whose footer has the answer",
};

const files = readdirSync(SRC, { recursive: true }).filter((name) => name.endsWith(".tsx"));
const texts = new Map(files.map((name) => [name, readFileSync(join(SRC, name), "utf8")]));
const having = (pattern) => [...texts].filter(([, text]) => pattern.test(text)).map(([name]) => name);

test("no form is without an answer beside its button", () => {
  const forms = having(/<(Form|form)\s/);
  expect(forms.length).toBeGreaterThan(5);
  const bare = forms.filter((name) => !texts.get(name).includes("<RefusalAlert") && !(name in WITHOUT));
  expect(bare).toEqual([]);
  expect(having(/\bFormAlert\b/)).toEqual([]);
});

test("the answer is not within the part of a dialog that scrolls", () => {
  const within = having(/<RefusalAlert/).filter((name) =>
    (texts.get(name).match(/<ModalBody[\s\S]*?<\/ModalBody>/g) ?? []).some((body) => body.includes("<RefusalAlert")),
  );
  expect(within).toEqual([]);
});

test("a button that sends a form is not greyed because of what is typed: pressing it leads to the fault", () => {
  const grey = having(/<RefusalAlert/).filter((name) =>
    /type="submit"[^>]*isDisabled=\{[^}]*(ready|right|problem|wrong)/s.test(texts.get(name)),
  );
  expect(grey).toEqual([]);
});
