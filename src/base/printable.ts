/**
 * Text that others can write, fit for a terminal and a log line: what could move a cursor, break a line or turn the
 * direction of the text is spelled out.
 */
export function printable(text: string, longest = Number.POSITIVE_INFINITY): string {
  // Cut first: spelling out megabytes only to drop them is what a hostile answer would want.
  const short = text.length > longest ? `${text.slice(0, longest)}…` : text;
  return short.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`,
  );
}
