import type { Secret } from '#base';
import type { SealingKey } from './envelope.ts';
import { invalid, parseKeys } from './key-lines.ts';
import { type KeySource, keyProvider } from './key-provider.ts';

/** Where the keys of a state come from, and those that only open what was sealed before. */
export interface KeySources extends KeySource {
  readonly earlier?: readonly KeySource[] | undefined;
}

/** The keys of sealed values: the first seals, all open. */
export interface KeyRing {
  current(): SealingKey;
  find(id: string): SealingKey | undefined;
  ids(): readonly string[];
  /** How often a running gateway asks for them. */
  readonly refreshEveryMs: number;
  /**
   * Reads the keys again.
   * @returns whether another key seals from now on.
   * @throws as `openKeyRing`; the keys stay as they were.
   */
  refresh(): Promise<boolean>;
}

/** @throws `DAAS_STATE_KEYS_INVALID`, `DAAS_STATE_KEYS_EXPOSED`, `DAAS_FILE_UNTRUSTED`. */
export async function openKeyRing({ earlier = [], ...source }: KeySources): Promise<KeyRing> {
  const providers = [source, ...earlier].map(keyProvider);
  let keys = await readAll(providers);
  return {
    refreshEveryMs: Math.max(...providers.map(({ refreshEveryMs }) => refreshEveryMs)),
    current: () => keys[0],
    find: (id) => keys.find((key) => key.id === id),
    ids: () => keys.map(({ id }) => id),
    async refresh() {
      const before = keys[0].id;
      keys = await readAll(providers);
      return keys[0].id !== before;
    },
  };
}

type Keys = readonly [SealingKey, ...SealingKey[]];

async function readAll(providers: ReadonlyArray<{ read(): Promise<Secret> }>): Promise<Keys> {
  const found: SealingKey[][] = [];
  for (const provider of providers) found.push([...parseKeys(await provider.read())]);
  if (found.some((keys) => keys.length === 0)) throw invalid('it names no key');
  const [first, ...others] = found.flat().filter(isNew());
  if (!first) throw invalid('it names no key');
  return [first, ...others];
}

/** A key may come from both places, as while it moves from one to the other. */
function isNew(): (key: SealingKey) => boolean {
  const known = new Map<string, SealingKey>();
  return ({ id, key }) => {
    const other = known.get(id);
    if (other && !other.key.equals(key)) throw invalid('two keys have the same id');
    known.set(id, { id, key });
    return other === undefined;
  };
}

/**
 * Puts a new key before those of the source.
 * @returns the file that it is in, and the ids, the new one first; `undefined`: the keys of this source are made elsewhere.
 */
export async function addKey(
  source: KeySource,
  nowMs: number,
  { isDryRun = false }: { readonly isDryRun?: boolean } = {},
): Promise<{ readonly file: string; readonly ids: readonly string[] } | undefined> {
  const { rotation } = keyProvider(source);
  return rotation && { file: rotation.file, ids: await rotation.add(nowMs, isDryRun) };
}
