/** The frame around every page: navigation, what is wrong with the connection, and the command palette. */
import {
  type ReactNode,
  type RefObject,
  Suspense,
  useCallback,
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
} from "react";
import { Link, useLocation } from "react-router";
import { type Connection, useConnection, useObjects } from "@/api/live";
import { readStored, writeStored } from "@/api/stored";
import icon from "@/icon.svg";
import { Icon } from "@/look/Icon";
import { DialogBoundary, ErrorBoundary } from "@/ui/ErrorBoundary";
import { part } from "@/ui/part";
import { MAIN, useFocusStaysNear } from "./focus";
import { Me } from "./Me";
import { PARTS, PLACES, type Place, usePlaces } from "./places";
import { entryOf, RECENT, remembered } from "./shortcuts";
import { useShortcuts } from "./useShortcuts";

const loadPalette = () => import("./Palette");
const Palette = part(loadPalette);
const Shortcuts = part(() => import("./Shortcuts"));

/** Milliseconds after which the palette is loaded: what is shown comes first. */
const PALETTE_AFTER = 2000;
const NAV = "navigation";
/** Where a guest's screen has the room: the navigation is its icons. */
const CONSOLE = /^\/vms\/\d+\/(console|serial)$/;

export function Layout({ children }: { children: ReactNode }) {
  const { pathname } = useLocation();
  const [palette, setPalette] = useState(false);
  const [help, setHelp] = useState(false);
  const showHelp = useCallback(() => setHelp(true), []);
  const typed = useRef("");
  const openPalette = useCallback(() => {
    typed.current = "";
    setPalette(true);
  }, []);
  const drawer = useDrawer(pathname);
  useShortcuts(showHelp);
  useRecent(pathname);
  const here = PLACES.findLast(({ path }) => (path === "/" ? pathname === "/" : pathname.startsWith(path)));
  const isShown = usePlaces();
  useMainFocus(pathname);
  useFocusStaysNear(MAIN);
  useEffect(() => {
    // Before it is opened: who types at once would type into the page.
    const timer = setTimeout(() => void loadPalette().catch(() => undefined), PALETTE_AFTER);
    return () => clearTimeout(timer);
  }, []);
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        openPalette();
      }
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [openPalette]);
  return (
    <div className={`v-app${CONSOLE.test(pathname) ? " v-app-console" : ""}${drawer.open ? " v-app-drawer" : ""}`}>
      <a className="v-skip" href={`#${MAIN}`}>
        Skip to content
      </a>
      <button
        ref={drawer.toggle}
        type="button"
        className="v-burger"
        aria-label="Navigation"
        aria-expanded={drawer.open}
        aria-controls={NAV}
        onClick={() => drawer.set(!drawer.open)}
      >
        <Icon name="menu" />
      </button>
      <header className="v-side" id={NAV}>
        <Link to="/" className="v-brand" title="Velocity">
          <img src={icon} alt="" width="24" height="24" />
          <span>Velocity</span>
        </Link>
        <button type="button" className="v-find" onClick={openPalette} aria-keyshortcuts="Control+K">
          <Icon name="search" />
          <span>Search or run </span>
          <kbd>Ctrl K</kbd>
        </button>
        <nav aria-label="Places" className="v-nav">
          {PARTS.map((part) => (
            <ul key={part[0]?.path}>
              {part.filter(isShown).map((place) => (
                <li key={place.path}>
                  <NavLink place={place} here={place === here} />
                </li>
              ))}
            </ul>
          ))}
        </nav>
        <Me showHelp={showHelp} />
      </header>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: a way out for who has a pointer; Escape is the others' */}
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: Escape does it */}
      <div className="v-shade" onClick={() => drawer.set(false)} />
      <main id={MAIN} tabIndex={-1} aria-label="Content" className="v-main">
        <ErrorBoundary where={pathname} key={oneOf(pathname)}>
          {children}
        </ErrorBoundary>
      </main>
      <ConnectionState />
      {palette && (
        <DialogBoundary onClose={() => setPalette(false)}>
          <Suspense fallback={<Early typed={typed} />}>
            <Palette typed={typed} onClose={() => setPalette(false)} showHelp={showHelp} />
          </Suspense>
        </DialogBoundary>
      )}
      {help && (
        <DialogBoundary onClose={() => setHelp(false)}>
          <Suspense fallback={null}>
            <Shortcuts onClose={() => setHelp(false)} />
          </Suspense>
        </DialogBoundary>
      )}
    </div>
  );
}

/** Gathers what is typed before the palette is there: it is meant for it, and not for the page's shortcuts. */
function Early({ typed }: { typed: RefObject<string> }) {
  useLayoutEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key.length === 1) typed.current += event.key;
      else if (event.key !== "Enter") return;
      event.preventDefault();
      event.stopPropagation();
    };
    addEventListener("keydown", press, true);
    return () => removeEventListener("keydown", press, true);
  }, [typed]);
  return null;
}

/** Another object is another page; but for groups, where the tree beside them stays, with the focus in it. */
function oneOf(pathname: string): string {
  const [, place = "", id = ""] = pathname.split("/");
  return place === "groups" ? place : `${place}/${id}`;
}

function NavLink({ place, here }: { place: Place; here: boolean }) {
  return (
    <Link to={place.path} aria-current={here ? "page" : undefined} title={place.title}>
      <Icon name={place.icon} />
      <span>{place.title}</span>
      {place.counts && <Count of={place.counts} />}
    </Link>
  );
}

/** Of tasks only those that go on: the others are no matter. */
function Count({ of }: { of: NonNullable<Place["counts"]> }) {
  const all = useObjects(of);
  const tasks = of === "task";
  const number = tasks ? all.filter((one) => "state" in one && one.state === "RUNNING").length : all.length;
  if (number === 0) return null;
  return <span className={tasks ? "v-count v-count-now" : "v-count"}>{number.toLocaleString()}</span>;
}

/** A page that was gone to begins at its top and is told to a screen reader. */
function useMainFocus(pathname: string) {
  const first = useRef(true);
  const place = pathname.split("/")[1] ?? "";
  // biome-ignore lint/correctness/useExhaustiveDependencies: it is the place that changes, not what is read here
  useEffect(() => {
    if (first.current) {
      first.current = false;
      return;
    }
    document.getElementById(MAIN)?.focus({ preventScroll: true });
    document.getElementById(MAIN)?.scrollTo(0, 0);
  }, [place]);
}

/** The page of one thing is among the first that the palette shows. */
function useRecent(pathname: string) {
  useEffect(() => {
    const entry = entryOf(pathname);
    if (entry) writeStored(RECENT, remembered(readStored<string[]>(RECENT, []), entry));
  }, [pathname]);
}

/** On a phone the navigation lies over the page: it goes when a place was chosen, and by Escape. */
function useDrawer(pathname: string) {
  const [open, set] = useState(false);
  const toggle = useRef<HTMLButtonElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: it is the place that changes, not what is read here
  useEffect(() => set(false), [pathname]);
  useEffect(() => {
    if (!open) return;
    const press = (event: KeyboardEvent) => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      set(false);
      toggle.current?.focus();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [open]);
  return { open, set, toggle };
}

const CONNECTION_WORDS: Partial<Record<Connection, string>> = {
  silent: "The server does not respond",
  lost: "Connection lost: reconnecting",
};

export function ConnectionState() {
  const words = CONNECTION_WORDS[useConnection()];
  return (
    <div role="status" className="v-connection">
      {words && <span>{words}</span>}
    </div>
  );
}
