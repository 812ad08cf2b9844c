/** The page's own icons: lines of 1.5 on a grid of 16, in the colour of the text beside them. DESIGN.md */
const LINES = {
  dashboard: "M2.5 2.5h4.5v5h-4.5zM9 2.5h4.5v3H9zM9 7.5h4.5v6H9zM2.5 9.5h4.5v4h-4.5z",
  vm: "M2 3h12v8H2zM5.5 13.5h5M8 11v2.5",
  host: "M2 3h12v4H2zM2 9h12v4H2zM4.5 5v.01M4.5 11v.01M8 5h3.5M8 11h3.5",
  disc: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 6.5a1.5 1.5 0 1 0 0 3 1.5 1.5 0 0 0 0-3z",
  drive: "M1.5 6.5h13v5h-13zM4 9h5M12 9v.01",
  disk: "M8 2.2c3 0 5 .8 5 1.9v7.8c0 1.1-2 1.9-5 1.9s-5-.8-5-1.9V4.1c0-1.1 2-1.9 5-1.9zM3 4.1C3 5.2 5 6 8 6s5-.8 5-1.9M3 8c0 1.1 2 1.9 5 1.9s5-.8 5-1.9",
  nic: "M2.5 3h11v7.5h-2.7v2.5H5.2v-2.5H2.5zM5.5 3v2.7M8 3v2.7M10.5 3v2.7",
  display: "M2 3h12v8H2zM5.5 13.5h5M8 11v2.5",
  serial: "M2 3h12v10H2zM4.5 6l2 2-2 2M8.5 10h3",
  chip: "M4.5 4.5h7v7h-7zM6.5 2v2.5M9.5 2v2.5M6.5 11.5V14M9.5 11.5V14M2 6.5h2.5M2 9.5h2.5M11.5 6.5H14M11.5 9.5H14",
  usb: "M8 13.5V2.8M6.3 4.5 8 2.8l1.7 1.7M8 11.5 4.5 9.5V7.2M8 10l3.5-2V6.5M11.5 6.5v-1M4.5 7.2v-1M8 13.3v.4",
  pci: "M2 4.5h12v5H2zM4.5 9.5v2.5M7 9.5v2.5M9.5 9.5v2.5M5 7h2.5M11.5 7v.01M2 2.5v11",
  groups: "M6 2.5h4v3H6zM1.5 10.5h4v3h-4zM10.5 10.5h4v3h-4zM8 5.5V8M3.5 10.5V8h9v2.5",
  users:
    "M6 2.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5zM1.5 13.5c0-2.5 2-4 4.5-4s4.5 1.5 4.5 4M10.5 2.8a2.5 2.5 0 0 1 0 4.4M12 9.9c1.6.5 2.5 1.8 2.5 3.6",
  tasks: "M2 4l1.2 1.2L5.5 3M8 4.2h6M2 10.5l1.2 1.2 2.3-2.2M8 10.7h6",
  history: "M2.6 5.5A6 6 0 1 1 2 8M2.2 2.5v3.2h3.2M8 4.8V8l2.3 1.5",
  trash: "M2.5 4h11M6 4V2.5h4V4M4 4l.6 9.5h6.8L12 4M6.7 6.8v4M9.3 6.8v4",
  settings:
    "M8 5.8a2.2 2.2 0 1 0 0 4.4 2.2 2.2 0 0 0 0-4.4zM8 1.5v2M8 12.5v2M1.5 8h2M12.5 8h2M3.4 3.4l1.4 1.4M11.2 11.2l1.4 1.4M3.4 12.6l1.4-1.4M11.2 4.8l1.4-1.4",
  search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10.3 10.3l3.2 3.2",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  more: "M8 3.2a.3.3 0 1 0 0 .6.3.3 0 0 0 0-.6zM8 7.7a.3.3 0 1 0 0 .6.3.3 0 0 0 0-.6zM8 12.2a.3.3 0 1 0 0 .6.3.3 0 0 0 0-.6z",
  open: "M9.5 2.5h4v4M13.5 2.5 7.5 8.5M6.5 3.5h-4v10h10v-4",
  full: "M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10",
  small: "M6 2.5V6H2.5M13.5 6H10V2.5M10 13.5V10h3.5M2.5 10H6v3.5",
  keyboard: "M1.5 4h13v8h-13zM4 6.5v.01M6.7 6.5v.01M9.3 6.5v.01M12 6.5v.01M5 9.5h6",
  paste: "M5.5 3.5h-2v10h9v-10h-2M5.5 2.5h5v2.5h-5z",
  camera: "M2 4.5h2.7l1.3-2h4l1.3 2H14v8.5H2zM8 6.5a2.2 2.2 0 1 0 0 4.4 2.2 2.2 0 0 0 0-4.4z",
  play: "M4.5 2.8v10.4l8.5-5.2z",
  pause: "M5.5 3v10M10.5 3v10",
  power: "M8 2v5.5M4.6 4a5.3 5.3 0 1 0 6.8 0",
  back: "M10 3 5 8l5 5",
  up: "M3.5 10 8 5.5l4.5 4.5",
  down: "M3.5 6 8 10.5 12.5 6",
  person: "M8 2.5a2.7 2.7 0 1 0 0 5.4 2.7 2.7 0 0 0 0-5.4zM2.5 14c0-2.5 2.4-4.2 5.5-4.2s5.5 1.7 5.5 4.2",
  close: "M4 4l8 8M12 4l-8 8",
  columns: "M2.5 3h11v10h-11zM6.2 3v10M9.8 3v10",
  list: "M2.5 4h11M2.5 8h11M2.5 12h11",
  grid: "M2.5 2.5h4.5v4.5h-4.5zM9 2.5h4.5v4.5H9zM2.5 9h4.5v4.5h-4.5zM9 9h4.5v4.5H9z",
  larger: "M1.5 13 5.5 3l4 10M3 9.5h5M12.5 5v5M10 7.5h5",
  smaller: "M1.5 13 5.5 3l4 10M3 9.5h5M10.5 7.5h4.5",
  text: "M3 5V3h10v2M8 3v10M6 13h4",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  check: "M3 8.5 6.5 12 13 4.5",
  upload: "M8 10.5V3M4.8 6 8 2.8 11.2 6M2.5 10.5v3h11v-3",
  download: "M8 2.5V10M4.8 7 8 10.2 11.2 7M2.5 10.5v3h11v-3",
  lock: "M3.5 7h9v6.5h-9zM5.5 7V5a2.5 2.5 0 0 1 5 0v2",
  warning: "M8 2.5 14 13.5H2zM8 6.8v3M8 11.6v.01",
  plus: "M8 3v10M3 8h10",
  refresh: "M13.4 6.5A5.6 5.6 0 1 0 13.6 9M13.6 2.8v3.7H9.9",
  eye: "M1.5 8S4 3.8 8 3.8 14.5 8 14.5 8 12 12.2 8 12.2 1.5 8 1.5 8zM8 6.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6z",
  hidden: "M1.5 8S4 3.8 8 3.8 14.5 8 14.5 8 12 12.2 8 12.2 1.5 8 1.5 8zM3 13 13 3",
} as const;

export type IconName = keyof typeof LINES;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="v-icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={LINES[name]} />
    </svg>
  );
}
