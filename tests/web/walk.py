"""By the keyboard alone: Tab through a page or a dialog, and what a person who does that would complain about."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Locator, Page

MOST = 400
"""Presses after which a walk that has not come round is one that never does."""

INSTALL = r"""root => {
    const NATIVE = "a[href], button, input:not([type=hidden]), select, textarea, summary, [contenteditable=true]"
    const ROLES = ["button", "link", "checkbox", "switch", "tab", "menuitem", "option", "treeitem", "radio",
        "combobox", "slider", "spinbutton", "textbox"].map(role => `[role=${role}]`).join()
    const seen = element => element.checkVisibility({visibilityProperty: true}) && element.clientWidth > 0
        && !element.closest("[inert], [aria-hidden=true]")
    const name = element => {
        const label = element.getAttribute("aria-label") || element.labels?.[0]?.textContent || element.textContent
        return `${element.tagName.toLowerCase()} ${(label || element.id || element.className).trim().slice(0, 60)}`
    }
    // Of these one is reached by Tab, the others from there by arrows: ARIA practices, "Keyboard navigation inside".
    const managed = element => element.closest("[role=menu], [role=listbox], [role=tree], [role=tablist]")
        ?? (element.type === "radio" && element.name ? `radio ${element.name}` : undefined)
    const look = (element, pseudo) => {
        const style = getComputedStyle(element, pseudo)
        const outline = style.outlineStyle === "none" || style.outlineWidth === "0px" ? "" : style.outline
        return [outline, style.boxShadow, style.border, style.backgroundColor, style.textDecorationLine].join("|")
    }
    // Of the element and of what is drawn around it.
    const looks = element => {
        const parents = [element.parentElement, element.parentElement?.parentElement,
            element.closest("label, li"), element.closest(".pf-v6-c-text-input-group")]
        return [look(element), look(element, "::before"), look(element, "::after"),
            ...parents.map(one => one ? look(one) + look(one, "::after") + look(one, "::before") : "")].join("\n")
    }
    // Nothing of it can be seen: WCAG 2.4.11.
    const covered = (element, {left, top, width, height}) => [0.1, 0.5, 0.9].every(part => {
        const there = document.elementFromPoint(left + part * width, top + part * height)
        return there && !element.contains(there) && !there.contains(element) && !element.labels?.[0]?.contains(there)
    })
    const expected = () => [...root.querySelectorAll(`${NATIVE}, ${ROLES}, [tabindex]`)].filter(element =>
        seen(element) && !element.matches(":disabled")
        && (element.matches(`${NATIVE}, ${ROLES}`) || element.tabIndex >= 0))
    const there = expected()
    const reached = []
    let before, focused
    window.walk = {
        begin: () => {
            root.tabIndex = root.getAttribute("tabindex") ?? -1
            root.focus({preventScroll: true})
        },
        // Called after each press of Tab: what is wrong with where it led, and whether that was everything.
        step: () => {
            const told = []
            if (before?.isConnected && before !== document.activeElement && looks(before) === focused)
                told.push(`the focus cannot be seen on ${name(before)}`)
            before = undefined
            const at = document.activeElement
            // The end of the page, or a button that was switched off under the focus: the next press goes on from here.
            if (at === document.body || at === null) return {told, round: false}
            if (!root.contains(at)) return {told: [...told, `the focus left for ${name(at)}`], round: true}
            if (reached.includes(at)) return {told, round: at === reached[0]}
            reached.push(at)
            const box = at.getBoundingClientRect()
            if (box.bottom <= 0 || box.top >= innerHeight || box.right <= 0 || box.left >= innerWidth)
                told.push(`what has the focus is not in sight: ${name(at)}`)
            else if (covered(at, box)) told.push(`what has the focus is covered: ${name(at)}`)
            before = at
            focused = looks(at)
            return {told, round: false}
        },
        end: () => {
            const groups = new Set(reached.map(managed).filter(Boolean))
            const lists = new Set(reached.map(one => one.getAttribute("aria-controls")).filter(Boolean))
            // What a press has brought up is reached by the next round.
            const missed = there.filter(element => {
                const group = managed(element)
                const within = groups.has(group) || lists.has(group?.id)
                const elsewhere = within || reached.some(one => one.contains(element))
                return element.isConnected && seen(element) && !elsewhere
            })
            return {missed: missed.map(name), reached: reached.map(name)}
        },
    }
}"""

HAS_FOCUS = "one => one === document.activeElement"
ARRIVED = """one => ({
    ...walk.step(), gone: !one.isConnected, arrived: one === document.activeElement,
})"""
"""A step on the way to one element, which is looked up once: to look for it by its role is what costs most."""


STILL = "*, *::before, *::after { transition: none !important; scroll-behavior: auto !important }"


def be_still(page: Page) -> None:
    """What changes its look does so at once. Once for a document: each new sheet is a new look at all of it."""
    if not page.evaluate("() => 'still' in window"):
        page.add_style_tag(content=STILL)
        page.evaluate("window.still = true")


def walk(page: Page, within: Locator | None = None) -> tuple[list[str], list[str]]:
    """Press Tab until the walk has come round. What was reached, and what is wrong."""
    be_still(page)
    (within or page.locator("body")).evaluate(INSTALL)
    page.evaluate("walk.begin()")
    wrong: list[str] = []
    for _ in range(MOST):
        page.keyboard.press("Tab")
        step: dict[str, Any] = page.evaluate("walk.step()")
        wrong += step["told"]
        if step["round"]:
            break
    else:
        wrong.append("the walk never comes round")
    end: dict[str, list[str]] = page.evaluate("walk.end()")
    return end["reached"], wrong + [f"Tab does not reach {one}" for one in end["missed"]]


def reach(page: Page, wanted: Locator) -> None:
    """Press Tab from where the focus is until it is there; on the way it is always seen."""
    be_still(page)
    page.locator("body").evaluate(INSTALL)
    there = wanted.element_handle()
    for _ in range(MOST):
        page.keyboard.press("Tab")
        step: dict[str, Any] = page.evaluate(ARRIVED, there)
        assert step["told"] == [], step["told"]
        if step["gone"]:  # drawn anew meanwhile
            there = wanted.element_handle()
        if there.evaluate(HAS_FOCUS) if step["gone"] else step["arrived"]:
            return
    raise AssertionError(f"Tab does not reach {wanted}")
