/**
 * A terminal for what a guest says, which is not trusted: nothing of it reaches the page's title, the clipboard, links or
 * the window, and the terminal answers no question of it before the person types.
 */
import { FitAddon } from "@xterm/addon-fit";
import { type ITheme, Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";

const SCROLLBACK = 10_000;
/** Operating system commands: title, icon, colours, current directory, links, notices, clipboard. */
const SWALLOWED = [0, 1, 2, 4, 7, 8, 9, 10, 11, 12, 52, 104, 110, 111, 112, 777, 1337];

export interface Console {
  terminal: Terminal;
  dispose: () => void;
}

/** `mayAnswer`: whether questions of the guest (where is the cursor? what are you?) get an answer now. */
export function openTerminal(room: HTMLElement, mayAnswer: () => boolean, readOnly = false): Console {
  const terminal = new Terminal({
    scrollback: SCROLLBACK,
    convertEol: readOnly,
    disableStdin: readOnly,
    cursorBlink: false,
    minimumContrastRatio: 4.5, // a guest that paints its own background was written for another one than ours
    fontFamily: tokenOf("--pf-t--global--font--family--mono") || "monospace",
    fontSize: 14,
    theme: themeNow(),
    screenReaderMode: true,
    linkHandler: null,
    windowOptions: {},
  });
  const fitting = new FitAddon();
  terminal.loadAddon(fitting);
  const { parser } = terminal;
  for (const command of SWALLOWED) parser.registerOscHandler(command, () => true);
  const quiet = () => !mayAnswer();
  for (const id of [
    { final: "n" },
    { prefix: "?", final: "n" },
    { final: "c" },
    { prefix: ">", final: "c" },
    { prefix: "=", final: "c" },
    { prefix: ">", final: "q" },
    { final: "t" },
    { intermediates: "$", final: "p" },
    { prefix: "?", intermediates: "$", final: "p" },
  ])
    parser.registerCsiHandler(id, quiet);
  parser.registerDcsHandler({ intermediates: "$", final: "q" }, quiet);
  terminal.open(room);
  const resize = () => {
    if (room.clientWidth > 0) fitting.fit();
  };
  resize();
  const watched = new ResizeObserver(resize);
  watched.observe(room);
  const themes = new MutationObserver(() => {
    terminal.options.theme = themeNow();
  });
  themes.observe(document.documentElement, { attributeFilter: ["class"] });
  const dispose = () => {
    watched.disconnect();
    themes.disconnect();
    terminal.dispose();
  };
  return { terminal, dispose };
}

const tokenOf = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * The sixteen colours of terminals as steps of the page's palette. Black is the page's background, and white its text: what
 * a guest paints white on black is dark on light in the light theme.
 */
const DARK = ["red--40", "green--40", "yellow--40", "blue--30", "purple--30", "teal--40", "gray--20"];
const DARK_BRIGHT = ["orange--30", "green--30", "yellow--20", "blue--20", "purple--20", "teal--30", "white"];
const LIGHT = ["red--60", "green--60", "yellow--70", "blue--60", "purple--60", "teal--70", "gray--70"];
const LIGHT_BRIGHT = ["red--50", "green--60", "orange--60", "blue--50", "purple--50", "teal--60", "black"];
const NAMES = ["red", "green", "yellow", "blue", "magenta", "cyan", "white"] as const;

function themeNow(): ITheme {
  const dark = document.documentElement.classList.contains("pf-v6-theme-dark");
  const foreground = tokenOf("--pf-t--global--text--color--regular");
  const background = tokenOf("--pf-t--global--background--color--primary--default");
  const colour = (step: string | undefined) => tokenOf(`--pf-t--color--${step}`) || undefined;
  const theme: Record<string, string | undefined> = {
    foreground,
    background,
    cursor: foreground,
    cursorAccent: background,
  };
  theme.black = background;
  theme.brightBlack = colour(dark ? "gray--40" : "gray--50");
  theme.selectionBackground = colour(dark ? "blue--60" : "blue--20");
  NAMES.forEach((name, index) => {
    theme[name] = colour((dark ? DARK : LIGHT)[index]);
    theme[`bright${name.charAt(0).toUpperCase()}${name.slice(1)}`] = colour((dark ? DARK_BRIGHT : LIGHT_BRIGHT)[index]);
  });
  return theme;
}
