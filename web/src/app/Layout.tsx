/** The frame around every page: masthead, navigation, the command palette, and what is wrong with the connection. */
import {
  Button,
  DropdownItem,
  DropdownList,
  Label,
  Masthead,
  MastheadBrand,
  MastheadContent,
  MastheadLogo,
  MastheadMain,
  MastheadToggle,
  MenuToggle,
  Nav,
  Page,
  PageSidebar,
  PageSidebarBody,
  PageSidebarContext,
  PageToggleButton,
  SkipToContent,
  Toolbar,
  ToolbarContent,
  ToolbarGroup,
  ToolbarItem,
} from "@patternfly/react-core";
import { BarsIcon, SearchIcon } from "@patternfly/react-icons";
import { lazy, type ReactNode, Suspense, useContext, useEffect, useRef, useState } from "react";
import { Link, useLocation, useNavigate } from "react-router";
import { useConnection, useObjects } from "@/api/live";
import { session } from "@/api/session";
import { useSignal } from "@/api/signal";
import icon from "@/icon.svg";
import { Dropdown } from "@/ui/Dropdown";
import { ErrorBoundary } from "@/ui/ErrorBoundary";
import { useFocusStaysNear } from "./focus";
import { PLACES } from "./places";

const Palette = lazy(() => import("./Palette"));

const MAIN = "main";

export function Layout({ children }: { children: ReactNode }) {
  const { pathname } = useLocation();
  const [palette, setPalette] = useState(false);
  const here = PLACES.findLast(({ path }) => (path === "/" ? pathname === "/" : pathname.startsWith(path)));
  useTitleAndFocus(pathname);
  useFocusStaysNear(MAIN);
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        setPalette(true);
      }
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
  return (
    <Page
      masthead={<Top onPalette={() => setPalette(true)} />}
      sidebar={
        <PageSidebar>
          <PageSidebarBody>
            <Nav aria-label="Places">
              <Places here={here?.path} />
            </Nav>
          </PageSidebarBody>
        </PageSidebar>
      }
      isManagedSidebar
      skipToContent={<SkipToContent href={`#${MAIN}`}>Skip to content</SkipToContent>}
      mainContainerId={MAIN}
      mainAriaLabel="Content"
    >
      <ErrorBoundary where={pathname} key={oneOf(pathname)}>
        {children}
      </ErrorBoundary>
      {palette && (
        <Suspense fallback={null}>
          <Palette onClose={() => setPalette(false)} />
        </Suspense>
      )}
    </Page>
  );
}

/** Another object is another page; but for groups, where the tree beside them stays, with the focus in it. */
function oneOf(pathname: string): string {
  const [, place = "", id = ""] = pathname.split("/");
  return place === "groups" ? place : `${place}/${id}`;
}

/** PatternFly's list measures itself when it is made, to scroll sideways: this one does not lie. */
function Places({ here }: { here: string | undefined }) {
  const { isSidebarOpen } = useContext(PageSidebarContext);
  return (
    <ul className="pf-v6-c-nav__list">
      {PLACES.map(({ path, title }) => (
        <li key={path} className="pf-v6-c-nav__item">
          <Link
            to={path}
            tabIndex={isSidebarOpen ? undefined : -1}
            aria-current={path === here ? "page" : undefined}
            className={`pf-v6-c-nav__link${path === here ? " pf-m-current" : ""}`}
          >
            {title}
          </Link>
        </li>
      ))}
    </ul>
  );
}

/** A page that was gone to begins at its top and is told to a screen reader. */
function useTitleAndFocus(pathname: string) {
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

function Top({ onPalette }: { onPalette: () => void }) {
  return (
    <Masthead>
      <MastheadMain>
        <MastheadToggle>
          <PageToggleButton variant="plain" aria-label="Navigation">
            <BarsIcon />
          </PageToggleButton>
        </MastheadToggle>
        <MastheadBrand>
          <MastheadLogo component={(props) => <Link {...props} to="/" />}>
            <img src={icon} alt="" className="v-logo" />
            <span className="v-brand">Velocity</span>
          </MastheadLogo>
        </MastheadBrand>
      </MastheadMain>
      <MastheadContent>
        <Toolbar isStatic>
          <ToolbarContent>
            <ToolbarGroup align={{ default: "alignEnd" }} gap={{ default: "gapSm" }}>
              <ToolbarItem>
                <ConnectionLabel />
              </ToolbarItem>
              <ToolbarItem>
                <RunningTasks />
              </ToolbarItem>
              <ToolbarItem>
                <Button
                  variant="control"
                  icon={<SearchIcon />}
                  onClick={onPalette}
                  aria-keyshortcuts="Control+K"
                  className="v-palette-button"
                >
                  <span className="v-wide">Search or run </span>
                  <kbd className="v-wide">Ctrl K</kbd>
                  <span className="v-narrow v-hidden-text">Search or run</span>
                </Button>
              </ToolbarItem>
              <ToolbarItem>
                <Me />
              </ToolbarItem>
            </ToolbarGroup>
          </ToolbarContent>
        </Toolbar>
      </MastheadContent>
    </Masthead>
  );
}

function ConnectionLabel() {
  const connection = useConnection();
  return (
    <span role="status">
      {connection === "lost" && (
        <Label status="warning" isCompact>
          Connection lost: reconnecting
        </Label>
      )}
    </span>
  );
}

function RunningTasks() {
  const running = useObjects("task").filter((task) => task.state === "RUNNING").length;
  if (running === 0) return null;
  return (
    <Link to="/tasks">
      <Label status="info" isCompact>
        {running} task{running === 1 ? "" : "s"}
      </Label>
    </Link>
  );
}

function Me() {
  const [open, setOpen] = useState(false);
  const navigate = useNavigate();
  const state = useSignal(session.state);
  const name = state.is === "in" || state.is === "again" ? state.session.name : "";
  return (
    <Dropdown
      isOpen={open}
      onOpenChange={setOpen}
      onSelect={() => setOpen(false)}
      popperProps={{ position: "right" }}
      toggle={(ref) => (
        <MenuToggle ref={ref} variant="plainText" isExpanded={open} onClick={() => setOpen(!open)}>
          {name}
        </MenuToggle>
      )}
    >
      <DropdownList>
        <DropdownItem onClick={() => navigate("/settings")}>My settings</DropdownItem>
        <DropdownItem onClick={() => void session.signOut()}>Sign out</DropdownItem>
      </DropdownList>
    </Dropdown>
  );
}
