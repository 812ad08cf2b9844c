import { expect, it } from "vitest";
import { heard, NOBODY } from "./keyboard";

const tell = (told: object) => JSON.stringify(told);

it("follows who has the keyboard and who looks on", () => {
  const free = heard(NOBODY, tell({ viewers: ["anna", "ben"], keyboard: { holder: null, yours: false } }));
  expect(free).toMatchObject({ viewers: ["anna", "ben"], holder: undefined, yours: false });
  const mine = heard(free, tell({ viewers: ["anna", "ben"], keyboard: { holder: "anna", yours: true }, asks: "ben" }));
  expect(mine).toMatchObject({ holder: "anna", yours: true, asks: "ben" });
  expect(heard(mine, tell({ viewers: ["anna"], keyboard: { holder: "anna", yours: true } })).asks).toBeUndefined();
});

it("remembers a refusal until the keyboard changes hands", () => {
  const state = { viewers: ["anna", "ben"], keyboard: { holder: "ben", yours: false } };
  const asking = { ...heard(NOBODY, tell(state)), asked: "waiting" as const };
  expect(heard(asking, tell(state)).asked).toBe("waiting");
  const refused = heard(asking, tell({ refused: true }));
  expect(refused).toMatchObject({ asked: "refused", holder: "ben" });
  expect(heard(refused, tell(state)).asked).toBe("refused");
  expect(heard(refused, tell({ ...state, keyboard: { holder: "anna", yours: true } })).asked).toBe("no");
});

it("is not moved by what is no message", () => {
  for (const frame of ["", "{", "null", "3", "{}", "[]"]) expect(heard(NOBODY, frame)).toBe(NOBODY);
});
