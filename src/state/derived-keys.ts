import { hkdfSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigurationError, messageOf, Secret } from '#base';
import { askProgram, readBounded } from '#infrastructure';
import { invalid, isKeyId, KEY_BYTES, KEYS_SETTING, linesOf, readKeyFile, rotationOf } from './key-lines.ts';
import type { KeyProvider } from './key-provider.ts';

/** What the chip mixes into a key (AMD 56860, `MSG_KEY_REQ`, GUEST_FIELD_SELECT), by its bit. */
const MIXED_FIELDS = ['guestPolicy', 'imageId', 'familyId', 'measurement', 'guestSvn', 'tcb'] as const;

/** A key that SEV-SNP derives for a guest, asked for by `snpguest` (0.10 or newer) on /dev/sev-guest. */
export interface DerivedKeySource {
  /** Absolute path of snpguest. */
  readonly program: string;
  /** One key a line, `<id> <check>`: no secrets. Each id gives a key of its own. */
  readonly idsFile: string;
  /** `vcek`: of this chip; `vmrk`: of this guest, wherever a migration agent takes it. */
  readonly rootKey: 'vcek' | 'vmrk';
  /** Only a guest with the same values of these gets the same key. */
  readonly mix: ReadonlyArray<(typeof MIXED_FIELDS)[number]>;
  /** With `guestSvn` mixed in: at most that of the guest, so that newer code gets the keys of older code. */
  readonly guestSvn: number;
  /** With `tcb` mixed in: at most the committed one, in hexadecimal as the report has it. */
  readonly tcbVersion?: string | undefined;
  readonly vmpl: number;
}

const timeoutMs = 10_000;
const CHECK_BYTES = 12;
const CHECK_LENGTH = 16;
/** In memory: the key must not be on a disk. */
const MEMORY = '/dev/shm';

/**
 * Keys for the ids of a file: HKDF-SHA-256 (RFC 5869) of what the chip derives, for `k3s-daas/state-key/1 <id>`. Beside each
 * id stands a check of its key, so that other code or another chip is told from an altered state.
 */
export function derivedKeys(source: DerivedKeySource, refreshEveryMs: number): KeyProvider {
  const { idsFile } = source;
  return {
    refreshEveryMs,
    async read() {
      const ids = idsOf(await readKeyFile(idsFile));
      const root = await rootOf(source, ids);
      return new Secret(ids.map(([id]) => `${id} ${keyFor(root, id)}`).join('\n'));
    },
    rotation: rotationOf(idsFile, {
      idsIn: (text) => idsOf(text).map(([id]) => id),
      // Beside a key of other code, a new one would make the file useless to both.
      valueFor: async (id, text) => checkOf(await rootOf(source, idsOf(text)), id),
    }),
  };
}

type CheckedId = readonly [id: string, check: string];

/** @throws `DAAS_STATE_KEYS_INVALID` where the chip derives another key than one of these. */
async function rootOf(source: DerivedKeySource, ids: readonly CheckedId[]): Promise<Secret> {
  const root = await derive(source);
  const other = ids.find(([id, check]) => checkOf(root, id) !== check);
  if (!other) return root;
  throw new ConfigurationError(
    'DAAS_STATE_KEYS_INVALID',
    `the chip derives another key '${other[0]}' than the one of ${source.idsFile}: what runs here, its version or the chip is another. Move the state by a key that both get, as docs/attestation.md says ("Keys of the sealed state")`,
  );
}

function idsOf(text: string): readonly CheckedId[] {
  return linesOf(text).map(([id = '', check = '', ...rest], index) => {
    if (!isKeyId(id) || check.length !== CHECK_LENGTH || rest.length > 0)
      throw invalid(`line ${index + 1} is not '<id> <check of its key>'`);
    return [id, check];
  });
}

const keyFor = (root: Secret, id: string): string => expand(root, `k3s-daas/state-key/1 ${id}`, KEY_BYTES);
const checkOf = (root: Secret, id: string): string =>
  expand(root, `k3s-daas/state-key-check/1 ${id}`, CHECK_BYTES);

function expand(root: Secret, purpose: string, length: number): string {
  const key = hkdfSync('sha256', Buffer.from(root.reveal(), 'hex'), Buffer.alloc(0), purpose, length);
  return Buffer.from(key).toString('base64url');
}

/** snpguest writes the 32 bytes into a file, and nowhere else. @returns hexadecimal */
async function derive(source: DerivedKeySource): Promise<Secret> {
  let directory: string | undefined;
  try {
    directory = await mkdtemp(join(MEMORY, 'k3s-daas-key-'));
    const path = join(directory, 'key');
    await askProgram({
      program: source.program,
      arguments: wordsOf(source, path),
      timeoutMs,
      origin: `${KEYS_SETTING}.snp.program`,
    });
    const key = await readBounded(path, KEY_BYTES);
    if (key.length !== KEY_BYTES) throw new Error(`it wrote ${key.length} bytes`);
    return new Secret(key.toString('hex'));
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    throw invalid(`${source.program} derives no key: ${messageOf(cause)}`, cause);
  } finally {
    if (directory !== undefined) await rm(directory, { recursive: true, force: true });
  }
}

/** With the prefix: versions before 0.10 read other digits in another way, and refuse these. */
function wordsOf(
  { rootKey, mix, guestSvn, tcbVersion, vmpl }: DerivedKeySource,
  path: string,
): readonly string[] {
  const bits = mix.reduce((sum, field) => sum | (1 << MIXED_FIELDS.indexOf(field)), 0);
  return [
    'key',
    path,
    rootKey,
    '--guest_field_select',
    `0b${bits.toString(2).padStart(MIXED_FIELDS.length, '0')}`,
    '--vmpl',
    String(vmpl),
    '--guest_svn',
    String(guestSvn),
    ...(tcbVersion === undefined ? [] : ['--tcb_version', `0x${tcbVersion}`]),
  ];
}
