import pico from 'picocolors';

/** Colour is for a terminal, and for nobody who has set NO_COLOR to anything. */
export function coloursFor(stream: { readonly isTTY?: boolean }): ReturnType<typeof pico.createColors> {
  const { NO_COLOR: unwanted, TERM: terminal } = process.env;
  return pico.createColors(stream.isTTY === true && !unwanted && terminal !== 'dumb');
}
