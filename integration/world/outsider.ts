import { createHash, generateKeyPairSync, type KeyObject, randomBytes, scryptSync } from 'node:crypto';
import { Agent, request } from 'node:https';
import { SuiGrpcClient } from '@mysten/sui/grpc';
import type { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { Transaction } from '@mysten/sui/transactions';
// What @peculiar/x509 is wired with needs it.
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { CompactSign } from 'jose';

/**
 * What an outsider has: HTTPS, the Sui SDK, a JOSE library, an X.509 library. Nothing here is of ours, so that what it
 * shows is shown by the wire alone.
 */

export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: bodies of any kind, read by tests that know what they asked for.
  readonly body: any;
}

export interface HttpAsk {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly localAddress?: string | undefined;
}

/** One HTTPS request on a connection of its own. */
export function ask(url: string | URL, options: HttpAsk = {}): Promise<HttpAnswer> {
  const { method = 'GET', headers = {}, body, ca, cert, key, localAddress } = options;
  return new Promise((resolve, reject) => {
    const agent = new Agent({
      keepAlive: false,
      ...(localAddress && { localAddress }),
      ...(ca && { ca }),
      ...(cert && key && { cert, key }),
    });
    const call = request(new URL(url), { method, headers, agent, timeout: 20_000 }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => {
        const text = Buffer.concat(chunks).toString();
        resolve({ status: response.statusCode ?? 0, text, body: parsed(text) });
      });
    });
    call.once('timeout', () => call.destroy(new Error(`${method} ${String(url)}: no answer within 20 s`)));
    call.once('error', reject);
    call.end(body);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** A node key and password made by hand. */
export interface HandMadeKey {
  readonly privateKey: KeyObject;
  /** 32 bytes, as a Seal token names them. */
  readonly publicKey: Uint8Array;
  readonly x: string;
}

export function newNodeKey(): HandMadeKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const { x = '' } = publicKey.export({ format: 'jwk' });
  return { privateKey, publicKey: new Uint8Array(Buffer.from(x, 'base64url')), x };
}

/** k3s' node password and its hash, as docs/api.md describes them. */
function newNodePassword(): { readonly password: string; readonly hash: string } {
  const password = randomBytes(16).toString('hex');
  const salt = randomBytes(8);
  const key = scryptSync(password, salt, 64, { N: 2 ** 15, r: 8, p: 1, maxmem: 2 ** 26 });
  return {
    password,
    hash: `$1:${salt.toString('hex')}:15:8:1:${key.toString('base64').replace(/=+$/, '')}`,
  };
}

export interface HandMadeProof {
  readonly signer: HandMadeKey;
  /** Object id of the Seal token. */
  readonly kid: string;
  readonly claims: Readonly<Record<string, unknown>>;
  /** Members of the JOSE header that differ; undefined takes one away. */
  readonly header?: Readonly<Record<string, unknown>>;
}

/** A Seal proof as docs/api.md describes it, with whatever a test wants wrong about it. */
export async function signProof({ signer, kid, claims, header = {} }: HandMadeProof): Promise<string> {
  const full = {
    typ: 'seal+jwt',
    alg: 'Ed25519',
    kid,
    ...('nonce' in claims && { jwk: { kty: 'OKP', crv: 'Ed25519', x: signer.x } }),
    ...header,
  };
  const jws = await new CompactSign(Buffer.from(JSON.stringify(claims)))
    .setProtectedHeader(full as { alg: string })
    .sign(signer.privateKey);
  return `seal_${jws}`;
}

const digestOf = (body: string | Buffer): string => createHash('sha256').update(body).digest('base64url');

/** A node that nobody runs: an account, a stake, a token, a key and a password, all made with plain tools. */
export interface Stakeholder {
  readonly nodeId: string;
  readonly wallet: Ed25519Keypair;
  readonly nodeKey: HandMadeKey;
  readonly password: string;
  readonly passwordHash: string;
  readonly recordId: string;
  readonly tokenId: string;
  /** The public name that the chain shows: `seal_` and 32 hex digits. */
  readonly tokenHash: string;
}

export interface Contract {
  readonly packageId: string;
  readonly clusterId: string;
}

export const chainClient = (url: string): SuiGrpcClient =>
  new SuiGrpcClient({ network: 'outside', baseUrl: url, format: 'binary' });

/** Stakes and mints as anybody can, and says what came of it. */
export async function stakeAndMint(
  sui: SuiGrpcClient,
  { packageId, clusterId }: Contract,
  {
    nodeId,
    wallet,
    stakeMist = 2_000_000_000n,
  }: { nodeId: string; wallet: Ed25519Keypair; stakeMist?: bigint },
): Promise<Stakeholder> {
  const nodeKey = newNodeKey();
  const stake = new Transaction();
  const [coin] = stake.splitCoins(stake.gas, [stakeMist]);
  if (!coin) throw new Error('no coin was split');
  const record = stake.moveCall({
    target: `${packageId}::staking::stake_for_node`,
    arguments: [
      stake.object(clusterId),
      coin,
      stake.pure.string(nodeId),
      stake.pure.u64(1n),
      stake.object.clock(),
    ],
  });
  stake.moveCall({ target: `${packageId}::staking::share`, arguments: [record] });
  const staked = await carryOut(sui, wallet, stake);
  const recordId = createdOf(staked, `${packageId}::staking::StakeRecord`);
  const mint = new Transaction();
  mint.moveCall({
    target: `${packageId}::k8s_gateway::create_worker_seal_token`,
    arguments: [
      mint.object(clusterId),
      mint.object(recordId),
      mint.pure.vector('u8', [...nodeKey.publicKey]),
      mint.object.clock(),
    ],
  });
  const tokenId = createdOf(await carryOut(sui, wallet, mint), `${packageId}::k8s_gateway::SealToken`);
  const { object } = await sui.core.getObject({ objectId: tokenId, include: { json: true } });
  const { password, hash } = newNodePassword();
  return {
    nodeId,
    wallet,
    nodeKey,
    password,
    passwordHash: hash,
    recordId,
    tokenId,
    tokenHash: String((object.json as { token_hash?: unknown }).token_hash),
  };
}

const include = { effects: true, objectTypes: true } as const;
type Executed = Awaited<ReturnType<typeof carryOut>>;

/** Signs and executes; throws what the contract says. */
export async function carryOut(sui: SuiGrpcClient, signer: Ed25519Keypair, transaction: Transaction) {
  const result = await sui.core.signAndExecuteTransaction({ transaction, signer, include });
  if (result.$kind === 'FailedTransaction')
    throw new Error(JSON.stringify(result.FailedTransaction.status.error));
  await sui.core.waitForTransaction({ digest: result.Transaction.digest });
  return result.Transaction;
}

function createdOf({ effects, objectTypes }: Executed, type: string): string {
  const made = effects.changedObjects.find(
    ({ idOperation, objectId }) => idOperation === 'Created' && objectTypes[objectId] === type,
  );
  if (!made) throw new Error(`the transaction made no ${type}`);
  return made.objectId;
}

/** A gateway as a stranger knows it: its address, its certificate, its id on chain. */
export interface KnownGateway {
  readonly url: string;
  readonly id: string;
  readonly ca: string;
  /** Where the outsider connects from. */
  readonly localAddress?: string;
}

export async function challenge(gateway: KnownGateway, { nodeId, wallet }: Stakeholder): Promise<string> {
  const query = new URLSearchParams({ node_id: nodeId, staker: wallet.toSuiAddress() });
  const { status, body, text } = await ask(`${gateway.url}/api/v1/challenge?${query.toString()}`, {
    ca: gateway.ca,
    localAddress: gateway.localAddress,
  });
  if (status !== 200) throw new Error(`challenge: ${status} ${text}`);
  return body.nonce as string;
}

export const REGISTER = '/api/v1/register-worker';
export const HEARTBEAT = '/api/v1/nodes/heartbeat';
const CERTIFICATES = '/api/v1/nodes/certificates';

export function registerBody({ nodeId, passwordHash }: Pick<Stakeholder, 'nodeId' | 'passwordHash'>): string {
  return JSON.stringify({
    node_id: nodeId,
    timestamp: Date.now(),
    node_password_hash: passwordHash,
    host: { os: 'outsider' },
  });
}

export function heartbeatBody(nodeId: string): string {
  return JSON.stringify({
    node_id: nodeId,
    timestamp: Date.now(),
    stake_status: 'active',
    stake_amount: '2000000000',
    agent_state: 'ready',
    running_pods: 0,
    resource_usage: { cpu_percent: 1, memory_percent: 1, disk_percent: 1 },
  });
}

/** The claims of an honest proof over a body; a test changes what it wants wrong. */
export function honestClaims(
  gateway: KnownGateway,
  nodeId: string,
  { path, body, nowMs = Date.now() }: { path: string; body: string; nowMs?: number },
): Record<string, unknown> {
  return {
    iss: nodeId,
    aud: gateway.id,
    iat: nowMs / 1000,
    exp: (nowMs + 30_000) / 1000,
    htm: 'POST',
    htu: path,
    bd: digestOf(body),
  };
}

export function post(
  gateway: KnownGateway,
  path: string,
  { proof, body, headers = {} }: { proof?: string; body: string | Buffer; headers?: Record<string, string> },
): Promise<HttpAnswer> {
  return ask(gateway.url + path, {
    method: 'POST',
    ca: gateway.ca,
    localAddress: gateway.localAddress,
    body,
    headers: {
      'content-type': 'application/json',
      ...(proof === undefined ? {} : { 'x-seal-token': proof }),
      ...headers,
    },
  });
}

/** An honest registration by hand. */
export async function register(
  gateway: KnownGateway,
  who: Stakeholder,
): Promise<HttpAnswer & { proof: string; sent: string }> {
  const nonce = await challenge(gateway, who);
  const body = registerBody(who);
  const proof = await signProof({
    signer: who.nodeKey,
    kid: who.tokenId,
    claims: { ...honestClaims(gateway, who.nodeId, { path: REGISTER, body }), nonce },
  });
  return { ...(await post(gateway, REGISTER, { proof, body })), proof, sent: body };
}

/** Shows client certificates (PEM) to the gateway, as a host does. */
export async function showCertificates(
  gateway: KnownGateway,
  who: Stakeholder,
  certificates: readonly string[],
): Promise<HttpAnswer> {
  const nonce = await challenge(gateway, who);
  const body = JSON.stringify({ node_id: who.nodeId, timestamp: Date.now(), certificates });
  const proof = await signProof({
    signer: who.nodeKey,
    kid: who.tokenId,
    claims: { ...honestClaims(gateway, who.nodeId, { path: CERTIFICATES, body }), nonce },
  });
  return post(gateway, CERTIFICATES, { proof, body });
}

export interface ClientPair {
  readonly cert: string;
  readonly key: string;
}

/** Asks k3s' supervisor for a kubelet's client certificate, as `k3s agent` does. */
export async function askKubeletCertificate(
  { server, ca }: { readonly server: string; readonly ca: string },
  by: { readonly bearer?: string; readonly pair?: ClientPair },
  { node, password }: { readonly node: string; readonly password: string },
): Promise<{ readonly status: number; readonly text: string; readonly pair: ClientPair | undefined }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: algorithm });
  const { status, text } = await ask(`${server}/v1-k3s/client-kubelet.crt`, {
    method: 'POST',
    ca,
    body: Buffer.from(csr.rawData),
    headers: {
      'content-type': 'application/octet-stream',
      'k3s-Node-Name': node,
      'k3s-Node-Password': password,
      'k3s-Node-IP': '127.0.0.1',
      ...(by.bearer && { authorization: `Bearer ${by.bearer}` }),
    },
    ...by.pair,
  });
  if (status !== 200) return { status, text, pair: undefined };
  const der = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  const key = `-----BEGIN PRIVATE KEY-----\n${der.replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`;
  return { status, text, pair: { cert: text, key } };
}

/** Creates a Node as a kubelet of that certificate does. */
export function createNode(
  { server, ca }: { readonly server: string; readonly ca: string },
  pair: ClientPair,
  node: string,
  tier = 'premium',
): Promise<HttpAnswer> {
  return ask(`${server}/api/v1/nodes`, {
    method: 'POST',
    ca,
    ...pair,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: node },
      spec: { taints: [{ key: 'k3s-daas.io/staked', value: tier, effect: 'NoSchedule' }] },
    }),
  });
}

/** `id.secret` of a join token in k3s' full form. */
export const bearerOf = (token: string): string => token.replace(/^K10[0-9a-f]{64}::/, '');
