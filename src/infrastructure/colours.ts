import pico from 'picocolors';

/** Colours are used on a terminal, unless NO_COLOR is set (https://no-color.org). */
export function coloursFor(stream: { readonly isTTY?: boolean }): ReturnType<typeof pico.createColors> {
  const { NO_COLOR: unwanted, TERM: terminal } = process.env;
  return pico.createColors(stream.isTTY === true && !unwanted && terminal !== 'dumb');
}
