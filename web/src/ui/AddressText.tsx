/** An address, which goes on in the next line behind a colon, where it does not fit into one. */
import { Fragment } from "react";

export function AddressText({ text }: { text: string }) {
  return text.split(/(?<=:)/).map((part, index) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: parts of one text
    <Fragment key={index}>
      {index > 0 && <wbr />}
      {part}
    </Fragment>
  ));
}
