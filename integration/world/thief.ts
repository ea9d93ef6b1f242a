import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import {
  challenge,
  type HandMadeKey,
  HEARTBEAT,
  type HttpAnswer,
  heartbeatBody,
  honestClaims,
  type KnownGateway,
  post,
  REGISTER,
  registerBody,
  type Stakeholder,
  signProof,
} from './outsider.ts';
import type { Worker, World } from './world.ts';

/** The live record of a node and its Seal token, as the chain has them. */
export async function tokenOf(world: World, nodeId: string) {
  const { client } = world.chain;
  const recordId = (await client.liveRecordOf(nodeId)) ?? '';
  const { token = '', tokenSequence } = (await client.records([recordId])).get(recordId) ?? {};
  return { recordId, tokenId: token, tokenSequence, token: (await client.tokens([token])).get(token) };
}

/** What a thief has of a worker: a copy of its state directory and node password, and what the chain shows. */
export async function thiefOf(world: World, worker: Worker): Promise<Stakeholder> {
  const privateKey = createPrivateKey(await readFile(join(worker.stateDir, 'node.key')));
  const { x = '' } = createPublicKey(privateKey).export({ format: 'jwk' });
  const nodeKey: HandMadeKey = { privateKey, publicKey: Buffer.from(x, 'base64url'), x };
  const { recordId, tokenId } = await tokenOf(world, worker.nodeId);
  return {
    nodeId: worker.nodeId,
    wallet: Ed25519Keypair.generate(),
    nodeKey,
    password: '',
    passwordHash: `$1:${'0'.repeat(16)}:15:8:1:${'A'.repeat(86)}`,
    recordId,
    tokenId,
    tokenHash: '',
  };
}

/** What a host says of where it runs; a thief says what it likes. */
export interface SaidMachine {
  readonly mid?: string;
  readonly bid: string;
  readonly run: string;
}

/** A registration with whatever the thief says of its machine. */
export async function registerFrom(
  gateway: KnownGateway,
  who: Stakeholder,
  machine: SaidMachine,
): Promise<HttpAnswer> {
  const body = registerBody(who);
  const claims = {
    ...honestClaims(gateway, who.nodeId, { path: REGISTER, body }),
    nonce: await challenge(gateway, who),
    ...machine,
  };
  const proof = await signProof({ signer: who.nodeKey, kid: who.tokenId, claims });
  return post(gateway, REGISTER, { proof, body });
}

export async function heartbeatFrom(
  gateway: KnownGateway,
  who: Stakeholder,
  { incarnation, sequence, machine }: { incarnation: number; sequence: number; machine?: SaidMachine },
): Promise<HttpAnswer> {
  const body = heartbeatBody(who.nodeId);
  const claims = {
    ...honestClaims(gateway, who.nodeId, { path: HEARTBEAT, body }),
    inc: incarnation,
    seq: sequence,
    ...machine,
  };
  const proof = await signProof({ signer: who.nodeKey, kid: who.tokenId, claims });
  return post(gateway, HEARTBEAT, { proof, body });
}
