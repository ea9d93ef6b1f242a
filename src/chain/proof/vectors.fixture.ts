import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CertifiedCheckpoint } from './certificate.ts';

interface CertifiedHex {
  readonly summary: string;
  readonly signature: string;
}

/** A checkpoint of mainnet's epoch 246 with one transaction, and the last one of the epoch before. */
export interface MainnetVector {
  readonly endOfEpoch: CertifiedHex;
  readonly checkpoint: CertifiedHex & { readonly contents: string };
  readonly transaction: {
    readonly digest: string;
    readonly effects: string;
    readonly events: string;
    readonly objects: readonly { readonly id: string; readonly bcs: string; readonly digest: string }[];
  };
}

/** The last checkpoints of mainnet's epochs 188 and 189. */
export interface FollowVector {
  readonly a: CertifiedHex;
  readonly b: CertifiedHex;
}

/** A checkpoint of a test network with effects V2. */
export interface TestNetworkVector extends CertifiedHex {
  readonly committee: {
    readonly epoch: number;
    readonly members: readonly { readonly publicKey: string; readonly stake: number }[];
  };
  readonly contents: string;
  readonly transaction: {
    readonly effects: string;
    readonly digest: string;
    readonly object: { readonly id: string; readonly bcs: string };
  };
}

const root = fileURLToPath(new URL('../../../', import.meta.url));
const directory = process.env.K3S_DAAS_TEST_SUI_VECTORS ?? join(root, '../shared/vectors');

/** Checkpoints of real networks are not part of this repository: docs/testing.md says how they are had. */
export const haveVectors = existsSync(join(directory, 'mainnet-246.json'));

export function vector<T>(name: string): T {
  return JSON.parse(readFileSync(join(directory, `${name}.json`), 'utf8')) as T;
}

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

export function certified({ summary, signature }: CertifiedHex): CertifiedCheckpoint {
  return { summary: fromHex(summary), signature: fromHex(signature) };
}
