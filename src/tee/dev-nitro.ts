import { sign } from 'node:crypto';
import { FIXED_HALVES } from './bytes.ts';
import { type CborMap, type CborValue, encodeCbor } from './cbor.ts';
import { type ChainFault, type DevChain, devChain } from './dev-chain.ts';
import type { CollateralItem, Evidence } from './evidence.ts';

export interface DevNitroOptions {
  readonly nowMs: number;
  readonly kind?: 'nitro' | 'nitrotpm';
  readonly pcrs?: Readonly<Record<number, Buffer>>;
  readonly userData?: Buffer | null;
  readonly timestampMs?: number;
  readonly fault?: ChainFault | undefined;
  readonly collateral?: (chain: DevChain) => Promise<readonly CollateralItem[]>;
  /** Changes fields of the payload before it is signed. */
  readonly alter?: (fields: Map<string | number, CborValue>) => void;
  /** Changes the encoded payload before it is signed. */
  readonly alterPayload?: (payload: Buffer) => Buffer;
  /** Changes the four parts after they were signed. */
  readonly alterParts?: (parts: CborValue[]) => void;
}

export const DEV_PCR = Buffer.alloc(48, 7);
const PROTECTED: CborMap = new Map([[1, -35]]);

/** A document of the development PKI, in the form of AWS Nitro Enclaves or NitroTPM. */
export async function devNitro(options: DevNitroOptions): Promise<Evidence & { readonly root: Buffer }> {
  const { nowMs, kind = 'nitro', fault, alter, alterPayload, alterParts } = options;
  const chain = await devChain({
    nowMs,
    names: { root: 'dev-nitro-root', intermediate: 'dev-nitro-zone', leaf: 'dev-nitro-instance' },
    caAlgorithm: 'P-384',
    leafAlgorithm: 'P-384',
    fault,
  });
  const fields = fieldsOf(chain, options);
  alter?.(fields);
  const encoded = encodeCbor(fields);
  const payload = alterPayload ? alterPayload(encoded) : encoded;
  const header = encodeCbor(PROTECTED);
  const signature = sign('sha384', encodeCbor(['Signature1', header, Buffer.alloc(0), payload]), {
    key: chain.leaf.key,
    dsaEncoding: FIXED_HALVES,
  });
  const parts: CborValue[] = [header, new Map(), payload, signature];
  alterParts?.(parts);
  const collateral = (await options.collateral?.(chain)) ?? [];
  return { kind, bytes: encodeCbor(parts), collateral, root: chain.root.certificate };
}

function fieldsOf(chain: DevChain, options: DevNitroOptions): Map<string | number, CborValue> {
  const { nowMs, kind = 'nitro', userData = null } = options;
  const all = Object.fromEntries(Array.from({ length: 16 }, (_, index) => [index, DEV_PCR]));
  const pcrs = Object.entries(options.pcrs ?? all).map(([index, value]) => [Number(index), value] as const);
  return new Map<string | number, CborValue>([
    ['module_id', 'i-0123456789abcdef0-enc0123456789abcdef'],
    ['digest', 'SHA384'],
    ['timestamp', options.timestampMs ?? nowMs - 1_000],
    [kind === 'nitro' ? 'pcrs' : 'nitrotpm_pcrs', new Map<string | number, CborValue>(pcrs)],
    ['certificate', chain.leaf.certificate],
    ['cabundle', [chain.root.certificate, chain.intermediate.certificate]],
    ['public_key', null],
    ['user_data', userData],
    ['nonce', null],
  ]);
}
