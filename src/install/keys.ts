import { dirname, join } from 'node:path';
import { ConfigurationError } from '#base';
import { dropInPath, type MachineFacts, type ServiceManager } from './facts.ts';
import type { Wanted } from './plan-parts.ts';
import type { Role } from './record.ts';
import type { Step } from './steps.ts';
import { credentialsDropIn } from './units.ts';

/**
 * How the unit gets at keys. `file`: the program opens them itself. `credential`: systemd opens them and hands them to the
 * unit alone. `encrypted`: the same, from a file that only this machine can read (its TPM, if it has one).
 */
export const KEY_MODES = ['file', 'credential', 'encrypted'] as const;
export type KeyMode = (typeof KEY_MODES)[number];

export interface KeyFile {
  readonly name: string;
  readonly path: string;
  readonly variable: string;
}

/** LoadCredential= with `%d`, and systemd-creds, came with it. */
const OLDEST_SYSTEMD = 250;
const CREDENTIALS_DIR = '/etc/k3s-daas/credentials';

export interface KeyPlan {
  readonly steps: readonly Step[];
  readonly files: ReadonlyArray<Omit<Wanted, 'path'>>;
}

/** Throws `DAAS_INSTALL_NO_CREDENTIALS` where systemd has none, or no key file is configured. */
export function keySteps(
  role: Role,
  mode: KeyMode | undefined,
  keys: readonly KeyFile[],
  manager: ServiceManager,
  facts: MachineFacts,
): KeyPlan {
  // Not asked for: a sealed key stays sealed, whose original may be gone.
  if (mode === undefined) return { steps: [], files: [] };
  if (mode === 'file') return { steps: withoutDropIn(role, facts), files: [] };
  refuseWithout(mode, keys, manager);
  const isEncrypted = mode === 'encrypted';
  const sealedPath = ({ name }: KeyFile) => join(CREDENTIALS_DIR, `${role}-${name}.cred`);
  const credentials = keys.map((key) => ({ ...key, path: isEncrypted ? sealedPath(key) : key.path }));
  const content = credentialsDropIn(credentials, isEncrypted);
  // What is sealed is another text each time: a drop-in that names it already says that it was done.
  const isDone = [...facts.files.values()].some(({ text }) => text === content);
  const steps = keys.flatMap((key): Step[] => [
    { kind: 'directory', path: dirname(sealedPath(key)), mode: 0o700, why: 'for sealed keys' },
    {
      kind: 'run',
      argv: ['systemd-creds', 'encrypt', `--name=${key.name}`, key.path, sealedPath(key)],
      why: 'only this machine can open it; remove the original when the service runs',
      deadlineMs: 60_000,
    },
  ]);
  return {
    steps: isEncrypted && !isDone ? steps : [],
    files: [{ content, mode: 0o644, why: 'systemd hands the keys to the unit' }],
  };
}

function withoutDropIn(role: Role, { files }: MachineFacts): readonly Step[] {
  const path = dropInPath(role);
  return files.has(path) ? [{ kind: 'remove', path, why: 'the program reads the key file itself' }] : [];
}

function refuseWithout(mode: KeyMode, keys: readonly KeyFile[], manager: ServiceManager): void {
  const reason =
    manager.kind !== 'systemd'
      ? 'OpenRC has none'
      : manager.version < OLDEST_SYSTEMD
        ? `they need systemd ${OLDEST_SYSTEMD}, and this is ${manager.version}`
        : keys.length === 0
          ? 'no key file is configured (wallet.keyFile, gateway.tls.keyFile)'
          : undefined;
  if (reason !== undefined)
    throw new ConfigurationError(
      'DAAS_INSTALL_NO_CREDENTIALS',
      `--keys ${mode} uses systemd's credentials: ${reason}. Use --keys file`,
      { details: { mode } },
    );
}
