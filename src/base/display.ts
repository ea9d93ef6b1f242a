/**
 * What others can write (chain, gateway, k3s, Kubernetes, a plugin) is shown only by one of these: a terminal follows
 * control characters, so that a text could paint over another, and text of the other direction reads as what it is not.
 * Cc: ESC and the other C0 and C1 controls; Cf: direction, joiners, tags; Zl, Zp: line ends; Cs: halves of a character.
 */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** One line: line ends are spelled out, too. */
export function displayText(text: string): string {
  return text.replaceAll(unprintable, spelled);
}

/** Several lines of our own making; every other control is spelled out. */
export function displayLines(text: string): string {
  return text.replaceAll(unprintable, (character) => (character === '\n' ? character : spelled(character)));
}

/** Finished JSON: the same text for a machine, and safe on a terminal. `JSON.stringify` itself escapes only C0 and halves. */
export function displayJson(json: string): string {
  return json.replaceAll(unprintable, (character) =>
    // In JSON's own syntax these characters do not occur: each stands in a string.
    [...Array(character.length).keys()]
      .map((index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

function spelled(character: string): string {
  return `\\u{${character.codePointAt(0)?.toString(16)}}`;
}
