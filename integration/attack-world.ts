import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SuiGrpcClient } from '@mysten/sui/grpc';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { afterAll, beforeAll, expect } from 'vitest';
import { suiteWorld } from './suite-world.ts';
import {
  bearerOf,
  type carryOut,
  chainClient,
  challenge,
  type HandMadeKey,
  type HttpAnswer,
  honestClaims,
  type KnownGateway,
  post,
  REGISTER,
  register,
  registerBody,
  type Stakeholder,
  signProof,
  stakeAndMint,
} from './world/outsider.ts';
import { SUI, type Worker, World } from './world/world.ts';

export let world: World;
export let sui: SuiGrpcClient;
export let gateway: KnownGateway;
export let k3s: { server: string; ca: string };
let gatewayLog: string;
/** Admitted, and hand-made: nobody runs it. */
export let victim: Stakeholder;
/** Staked and honest so far; its credential is for its own name. */
export let mallory: Stakeholder;
export let malloryBearer: string;

beforeAll(async () => {
  // Budgets would stop most of this early; that they do is shown beside them (src/gateway).
  world = await World.start({
    ...suiteWorld.k3s,
    gateway: {
      limits: {
        addressRate: 10_000,
        addressBurst: 10_000,
        strangerRate: 1000,
        strangerBurst: 1000,
        nodeRate: 1000,
        nodeBurst: 1000,
        tokenRate: 1000,
        tokenBurst: 1000,
      },
    },
  });
  sui = chainClient(world.chain.url);
  gateway = { url: world.gatewayUrl, id: world.gatewayId, ca: await readFile(world.gatewayCaFile, 'utf8') };
  k3s = { server: world.k3s.server, ca: await readFile(world.k3s.serverCaFile, 'utf8') };
  gatewayLog = join(world.directory, 'gateway.log');
  victim = await newStakeholder('victim');
  mallory = await newStakeholder('mallory');
  expect((await register(gateway, victim)).status).toBe(200);
  await admitMallory();
});
afterAll(() => world?.close());

/** With another credential: the gateway ends all at the third name that is claimed with them. */
export async function admitMallory(): Promise<void> {
  const admitted = await register(gateway, mallory);
  expect(admitted.status).toBe(200);
  malloryBearer = bearerOf(admitted.body.join.token);
}

export async function funded(): Promise<Ed25519Keypair> {
  const wallet = Ed25519Keypair.generate();
  await world.chain.devnet.faucet(wallet.toSuiAddress(), 10n * SUI);
  return wallet;
}

export const newStakeholder = async (nodeId: string, contract = world.chain.deployment) =>
  stakeAndMint(sui, contract, { nodeId, wallet: await funded() });

/** Refused without a word why; the gateway's log names the reason under the request id. */
export async function expectUnproven(answer: HttpAnswer, reason: string): Promise<void> {
  expect(answer).toMatchObject({ status: 401, body: { code: 'seal_token_invalid' } });
  expect(answer.text).not.toContain(reason);
  await expect.poll(() => loggedReason(answer)).toBe(reason);
}

async function loggedReason({ body }: HttpAnswer): Promise<unknown> {
  const lines = (await readFile(gatewayLog, 'utf8')).trimEnd().split('\n');
  const line = lines.find((text) => text.includes(`"requestId":"${body.request_id}"`));
  return line === undefined ? undefined : JSON.parse(line).reason;
}

export interface Tampering {
  readonly signer?: HandMadeKey;
  readonly kid?: string;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: Readonly<Record<string, unknown>>;
  /** What is sent instead of what was signed. */
  readonly body?: string;
}

/** The victim's own registration, with something wrong about it. */
export async function forge({
  signer = victim.nodeKey,
  kid = victim.tokenId,
  claims,
  header,
  body,
}: Tampering) {
  const nonce = await challenge(gateway, victim);
  const honest = registerBody(victim);
  const proof = await signProof({
    signer,
    kid,
    claims: { ...honestClaims(gateway, victim.nodeId, { path: REGISTER, body: honest }), nonce, ...claims },
    ...(header && { header }),
  });
  return post(gateway, REGISTER, { proof, body: body ?? honest });
}

export async function keypairOf({ configFile }: Worker): Promise<Ed25519Keypair> {
  const { wallet } = JSON.parse(await readFile(configFile, 'utf8'));
  return Ed25519Keypair.fromSecretKey((await readFile(wallet.keyFile, 'utf8')).trim());
}

export function handMadeOf(pem: string): HandMadeKey {
  const privateKey = createPrivateKey(pem);
  const { x = '' } = createPublicKey(privateKey).export({ format: 'jwk' });
  return { privateKey, publicKey: new Uint8Array(Buffer.from(x, 'base64url')), x };
}

export function createdIn(
  { effects, objectTypes }: Awaited<ReturnType<typeof carryOut>>,
  name: string,
): string {
  const made = effects.changedObjects.find(
    ({ idOperation, objectId }) => idOperation === 'Created' && objectTypes[objectId]?.endsWith(`::${name}`),
  );
  if (!made) throw new Error(`no ${name} was made`);
  return made.objectId;
}

export const secretOf = (nodeId: string) =>
  world.kubernetes.get(`/api/v1/namespaces/kube-system/secrets/${nodeId}.node-password.k3s`);
