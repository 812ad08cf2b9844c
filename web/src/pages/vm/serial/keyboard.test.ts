import { expect, it } from "vitest";
import { afterMessage, NOBODY } from "./keyboard";

const tell = (told: object) => JSON.stringify(told);

it("follows who has the keyboard and who looks on", () => {
  const free = afterMessage(NOBODY, tell({ viewers: ["anna", "ben"], keyboard: { holder: null, yours: false } }));
  expect(free).toMatchObject({ viewers: ["anna", "ben"], holder: undefined, yours: false });
  const mine = afterMessage(
    free,
    tell({ viewers: ["anna", "ben"], keyboard: { holder: "anna", yours: true }, asks: "ben" }),
  );
  expect(mine).toMatchObject({ holder: "anna", yours: true, asks: "ben" });
  expect(
    afterMessage(mine, tell({ viewers: ["anna"], keyboard: { holder: "anna", yours: true } })).asks,
  ).toBeUndefined();
});

it("remembers a refusal until the keyboard changes hands", () => {
  const state = { viewers: ["anna", "ben"], keyboard: { holder: "ben", yours: false } };
  const asking = { ...afterMessage(NOBODY, tell(state)), asked: "waiting" as const };
  expect(afterMessage(asking, tell(state)).asked).toBe("waiting");
  const refused = afterMessage(asking, tell({ refused: true }));
  expect(refused).toMatchObject({ asked: "refused", holder: "ben" });
  expect(afterMessage(refused, tell(state)).asked).toBe("refused");
  expect(afterMessage(refused, tell({ ...state, keyboard: { holder: "anna", yours: true } })).asked).toBe("no");
});

it("is not moved by what is no message", () => {
  for (const frame of ["", "{", "null", "3", "{}", "[]"]) expect(afterMessage(NOBODY, frame)).toBe(NOBODY);
});
