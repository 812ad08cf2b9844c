/**
 * A terminal for what a guest says, which is not trusted: nothing of it reaches the page's title, the clipboard, links or
 * the window, and the terminal answers no question of it before the person types.
 */
import { FitAddon } from "@xterm/addon-fit";
import { type ITheme, Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import { fontSize } from "./fontSize";

const SCROLLBACK = 10_000;
/** Operating system commands: title, icon, colours, current directory, links, notices, clipboard. */
const SWALLOWED = [0, 1, 2, 4, 7, 8, 9, 10, 11, 12, 52, 104, 110, 111, 112, 777, 1337];

export interface Console {
  terminal: Terminal;
  /** Pixels that its letters are high. */
  size: (pixels: number) => void;
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
    fontFamily: tokenOf("--v-mono") || "monospace",
    fontSize: fontSize.value,
    theme: colours(),
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
  const size = (pixels: number) => {
    terminal.options.fontSize = pixels;
    resize();
  };
  const dispose = () => {
    watched.disconnect();
    terminal.dispose();
  };
  return { terminal, size, dispose };
}

const tokenOf = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * The sixteen colours of terminals as steps of PatternFly's palette: light on black in both themes, as what guests paint
 * was chosen for.
 */
const COLOURS = ["red--40", "green--40", "yellow--40", "blue--30", "purple--30", "teal--40", "gray--20"];
const BRIGHT = ["orange--30", "green--30", "yellow--20", "blue--20", "purple--20", "teal--30", "white"];
const NAMES = ["red", "green", "yellow", "blue", "magenta", "cyan", "white"] as const;

function colours(): ITheme {
  const foreground = tokenOf("--v-console-text");
  const background = tokenOf("--v-console");
  const colour = (step: string | undefined) => tokenOf(`--pf-t--color--${step}`) || undefined;
  const theme: Record<string, string | undefined> = {
    foreground,
    background,
    cursor: foreground,
    cursorAccent: background,
    black: background,
    brightBlack: colour("gray--40"),
    selectionBackground: colour("blue--60"),
  };
  NAMES.forEach((name, index) => {
    theme[name] = colour(COLOURS[index]);
    theme[`bright${name.charAt(0).toUpperCase()}${name.slice(1)}`] = colour(BRIGHT[index]);
  });
  return theme;
}
