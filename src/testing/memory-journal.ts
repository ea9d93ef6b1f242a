import type { Journal } from '#base';

/** A journal that forgets with the process; give the same one to two lives of a plugin to test a restart. */
export function memoryJournal(state = new Map<string, unknown>()): Journal {
  const view = (prefix: string): Journal => ({
    read: (key) => structuredClone(state.get(prefix + key)),
    keys: () =>
      [...state.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length)),
    // Through JSON, as the real one: what JSON cannot hold fails here as well.
    write: async (key, value) => void state.set(prefix + key, JSON.parse(JSON.stringify(value))),
    remove: async (key) => void state.delete(prefix + key),
    section: (name) => view(`${prefix}${name}/`),
  });
  return view('');
}
