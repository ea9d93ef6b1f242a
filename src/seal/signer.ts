import { CompactSign } from 'jose';
import { ConfigurationError } from '#base';
import { isNodeId } from '#domain';
import type { NodeIdentity } from '#plugin';
import {
  bodyDigest,
  LONGEST_PROOF_LIFE_MS,
  type Machine,
  PROOF_ALGORITHM,
  PROOF_PREFIX,
  PROOF_TYPE,
  type ProofClaims,
  type ProofHeader,
  toNumericDate,
} from './claims.ts';
import type { NodeKey } from './node-key.ts';
import { type NodeKeys, openNodeKeys } from './node-keys.ts';
import { hashNodePassword, openNodePassword } from './node-password.ts';
import type { KeySealer } from './sealed-key.ts';

/** One request that is to be proven. */
export interface ProofRequest {
  /** Object id of the Seal token. */
  readonly sealTokenId: string;
  /** The gateway's id on chain. */
  readonly audience: string;
  readonly method: string;
  readonly path: string;
  /** The bytes that will be sent. */
  readonly body: Uint8Array | string;
  /** The gateway's time. */
  readonly nowMs: number;
  /** At most `LONGEST_PROOF_LIFE_MS`, which is also the default. */
  readonly lifeMs?: number;
  readonly freshness: ProofFreshness;
  /** Signed along, for a gateway that reads it. */
  readonly machine?: Machine | undefined;
}
export type ProofFreshness =
  | { readonly kind: 'nonce'; readonly nonce: string }
  | { readonly kind: 'sequence'; readonly incarnation: number; readonly sequence: number };

/** Signs for one node; the private key stays inside. */
export interface ProofSigner {
  readonly nodeId: string;
  /** Ed25519 public key, 32 bytes. */
  readonly holderKey: Uint8Array;
  /** The public key that signs proofs for a Seal token: during a rotation two are in use. */
  keyFor(sealTokenId: string): Uint8Array;
  /** The proof as it goes into the header: `seal_<compact JWS>`. */
  sign(request: ProofRequest): Promise<string>;
}

export function createProofSigner(nodeId: string, key: NodeKey): ProofSigner {
  const { publicKey: holderKey } = key;
  return { nodeId, holderKey, keyFor: () => holderKey, sign: (request) => signProof(nodeId, key, request) };
}

/** Signs with the key that belongs to the Seal token of each proof. */
function signerOfKeys(nodeId: string, keys: NodeKeys): ProofSigner {
  return {
    nodeId,
    get holderKey() {
      return keys.current().publicKey;
    },
    keyFor: (sealTokenId) => keys.keyFor(sealTokenId).publicKey,
    sign: (request) => signProof(nodeId, keys.keyFor(request.sealTokenId), request),
  };
}

async function signProof(nodeId: string, key: NodeKey, request: ProofRequest): Promise<string> {
  const { freshness, nowMs } = request;
  const x = Buffer.from(key.publicKey).toString('base64url');
  const header = {
    typ: PROOF_TYPE,
    alg: PROOF_ALGORITHM,
    kid: request.sealTokenId,
    // A stranger's key goes along, so that the gateway can refuse a bad signature without asking the chain.
    ...(freshness.kind === 'nonce' && { jwk: { kty: 'OKP', crv: 'Ed25519', x } as const }),
  } satisfies ProofHeader;
  const claims: ProofClaims = {
    iss: nodeId,
    aud: request.audience,
    iat: toNumericDate(nowMs),
    exp: toNumericDate(nowMs + (request.lifeMs ?? LONGEST_PROOF_LIFE_MS)),
    htm: request.method,
    htu: request.path,
    bd: bodyDigest(request.body),
    ...(freshness.kind === 'nonce'
      ? { nonce: freshness.nonce }
      : { inc: freshness.incarnation, seq: freshness.sequence }),
    ...(request.machine && machineClaims(request.machine)),
  };
  const jws = await new CompactSign(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader(header)
    .sign(key.privateKey);
  return PROOF_PREFIX + jws;
}

function machineClaims({ machineId, bootId, runId }: Machine): Pick<ProofClaims, 'mid' | 'bid' | 'run'> {
  return { ...(machineId !== undefined && { mid: machineId }), bid: bootId, run: runId };
}

/**
 * The node with its keys and k3s node password, read from their files or made when first needed.
 * @throws `DAAS_NODE_ID_INVALID`, and what `openNodeKey` throws.
 */
export async function openNodeIdentity(options: {
  readonly nodeId: string;
  readonly keyFile: string;
  /** k3s reads it too: `/etc/rancher/node/password`, or below the data directory when rootless. */
  readonly passwordFile: string;
  /** Left out: the key is kept in clear text. */
  readonly sealer?: KeySealer | undefined;
}): Promise<NodeIdentity & ProofSigner> {
  const { nodeId, keyFile, passwordFile, sealer } = options;
  if (!isNodeId(nodeId))
    throw new ConfigurationError(
      'DAAS_NODE_ID_INVALID',
      `the node id '${nodeId}' is not one lower-case DNS label of at most 63 characters (a-z, 0-9, '-', no dots)`,
    );
  const keys = await openNodeKeys(keyFile, sealer);
  const signer = signerOfKeys(nodeId, keys);
  return {
    nodeId,
    get holderKey() {
      return signer.holderKey;
    },
    keyFor: (sealTokenId) => signer.keyFor(sealTokenId),
    sign: (request) => signer.sign(request),
    rotation: {
      prepare: () => keys.prepare(),
      adopt: (sealTokenId, holderKey) => keys.adopt(sealTokenId, holderKey),
      complete: (sealTokenId) => keys.complete(sealTokenId),
    },
    nodePasswordHash: async () => hashNodePassword(await openNodePassword(passwordFile)),
  };
}
