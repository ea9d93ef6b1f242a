import { displayText } from './display.ts';

/** As `displayText`, of text that may be of any length, such as an answer of a stranger. */
export function printable(text: string, longest = Number.POSITIVE_INFINITY): string {
  // Cut first: spelling out megabytes only to drop them is what a hostile answer would want.
  return displayText(text.length > longest ? `${text.slice(0, longest)}…` : text);
}
