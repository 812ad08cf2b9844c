/** The first wrong field of a form. */

const FAULT = '[aria-invalid="true"], .pf-v6-c-helper-text__item.pf-m-error';
const FIELD =
  "input:not([type=hidden], [hidden], :disabled), select:not(:disabled), textarea:not(:disabled), button.pf-v6-c-menu-toggle:not(:disabled)";
const AROUND = ".pf-v6-c-form__group, fieldset, section";
const REQUIRED = ".pf-v6-c-form__group:has(.pf-v6-c-form__label-required)";

/** Focuses and scrolls to the first wrong field, or the first empty required one. Returns whether there is one. */
export function focusFault(form: HTMLElement): boolean {
  const fault = form.querySelector<HTMLElement>(FAULT);
  const field = fault
    ? fault.matches(FIELD)
      ? fault
      : fault.closest(AROUND)?.querySelector<HTMLElement>(FIELD)
    : [...form.querySelectorAll(REQUIRED)]
        .map((group) => group.querySelector<HTMLInputElement>(FIELD))
        .find((one) => one?.value === "");
  if (!field) return false;
  field.scrollIntoView({ block: "center" });
  field.focus({ preventScroll: true });
  return true;
}
