/**
 * Names that an API server refuses by itself, at most: it reads them all at its start, and with more the file would be too large to
 * be useful.
 */
export const MOST_BANNED_NAMES = 10_000;
