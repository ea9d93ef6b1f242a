import { type KeyObject, randomBytes, sign } from 'node:crypto';
import { createGatewayConnector, type WorkerEvidence } from '#api';
import { Secret } from '#base';
import type { GatewayConnection, HeartbeatReply, Registration, VouchedCertificates } from '#plugin';
import {
  createProofSigner,
  hashNodePassword,
  type Machine,
  type NodeKey,
  nodeKeyFromSeed,
  type ProofSigner,
} from '#seal';
import { type FakeChain, settled } from '#testing';

import type { World } from './world.fixture.ts';

export function newKey(): NodeKey {
  return nodeKeyFromSeed(new Secret(randomBytes(32).toString('hex')));
}

/** A worker's host as the gateway sees it: the real client, the real proof. */
export class FakeWorker {
  readonly world: World;
  readonly nodeId: string;
  readonly staker: string;
  readonly key: NodeKey;
  readonly signer: ProofSigner;
  /** What its host says of where it runs. */
  machine: Machine | undefined;
  /** The client key of its kubelet, on its disk. */
  kubelet: { readonly certificates: readonly string[]; readonly key: KeyObject } | undefined;
  /** What makes evidence of its machine. */
  evidence: WorkerEvidence | undefined;
  /** The gateway that it talks to, if not that of its world. */
  gateway: World | undefined;
  password = new Secret(randomBytes(16).toString('hex'));
  recordId = '';
  tokenId = '';
  registration: Registration | undefined;
  sequence = 0;
  #hashed: { readonly password: Secret; readonly hash: Promise<string> } | undefined;

  constructor(world: World, nodeId: string, staker: string, key: NodeKey) {
    this.world = world;
    this.nodeId = nodeId;
    this.staker = staker;
    this.key = key;
    this.signer = createProofSigner(nodeId, key);
  }

  stake(options: Parameters<FakeChain['stake']>[2] = {}): this {
    const { recordId, tokenId } = this.world.chain.stake(this.nodeId, this.key.publicKey, {
      staker: this.staker,
      ...options,
    });
    this.recordId = recordId;
    this.tokenId = tokenId;
    return this;
  }

  connection(): GatewayConnection {
    const { clock } = this.world;
    const { signer, machine, kubelet, evidence } = this;
    const proveKubelet = async (text: string) =>
      kubelet && {
        certificate: kubelet.certificates[0] ?? '',
        signature: sign('sha256', Buffer.from(text), kubelet.key).toString('base64url'),
      };
    const options = { signer, clock, machine, proveKubelet, evidence, timeoutMs: 5_000 };
    return createGatewayConnector(options).connect((this.gateway ?? this.world).entry());
  }

  async register(signal?: AbortSignal): Promise<Registration> {
    await settled();
    await using connection = this.connection();
    const challenge = await connection.challenge({ nodeId: this.nodeId, staker: this.staker });
    const registration = await connection.register(
      {
        challenge,
        sealTokenId: this.tokenId,
        nodePasswordHash: await this.#passwordHash(),
        host: { os: 'linux' },
      },
      signal,
    );
    this.registration = registration;
    this.sequence = 0;
    await settled();
    return registration;
  }

  /** After its Node has gone: when k3s has swept the Node's password too. */
  async comeBack(): Promise<Registration> {
    await this.world.pass(3_000);
    return this.register();
  }

  /** Registers while time passes, for what the gateway itself waits for. */
  async registerInTime(): Promise<Registration> {
    const { clock } = this.world;
    const longSleepMs = 2_500;
    const others = clock.sleepersFor(longSleepMs);
    const registered = this.register();
    let isDone = false;
    const done = registered.then(
      () => (isDone = true),
      () => (isDone = true),
    );
    // One long sleep more than the gateway's own loops is the admission's.
    while (!isDone && clock.sleepersFor(longSleepMs) <= others) await Promise.race([done, settled(1)]);
    if (!isDone) await clock.advance(3_000);
    return registered;
  }

  /** scrypt is slow on purpose. */
  #passwordHash(): Promise<string> {
    if (this.#hashed?.password !== this.password)
      this.#hashed = { password: this.password, hash: hashNodePassword(this.password) };
    return this.#hashed.hash;
  }

  /** The unmodified agent: credential and password at the supervisor, then its Node. */
  async join(): Promise<{ certificate: number; node: number }> {
    const token = this.registration?.join?.token.reveal() ?? '';
    const certificate = await this.world.kubernetes.claim(this.nodeId, token, this.password);
    const node = certificate === 200 ? this.world.kubernetes.createNodeAs(this.nodeId) : 0;
    await settled();
    return { certificate, node };
  }

  /** PEM each, as k3s has written them. */
  async show(certificates: readonly string[]): Promise<VouchedCertificates> {
    await using connection = this.connection();
    const challenge = await connection.challenge({ nodeId: this.nodeId, staker: this.staker });
    const request = { challenge, sealTokenId: this.tokenId, certificates };
    const vouched = await connection.showCertificates(request);
    await settled();
    return vouched;
  }

  async leave(): Promise<'leaving' | 'left'> {
    await using connection = this.connection();
    const challenge = await connection.challenge({ nodeId: this.nodeId, staker: this.staker });
    const state = await connection.leave({ challenge, sealTokenId: this.tokenId });
    await settled(60);
    return state;
  }

  async heartbeat(
    change: { incarnation?: number; sequence?: number; agentState?: 'ready' | 'starting' } = {},
  ): Promise<HeartbeatReply> {
    this.sequence += 1;
    await using connection = this.connection();
    // A host learns from the challenge what the gateway reads.
    if (this.machine) await connection.challenge({ nodeId: this.nodeId, staker: this.staker });
    const reply = await connection.heartbeat({
      sealTokenId: this.tokenId,
      incarnation: change.incarnation ?? this.registration?.incarnation ?? 1,
      sequence: change.sequence ?? this.sequence,
      stakeStatus: 'active',
      stakeMist: 1_000n,
      agentState: change.agentState ?? 'ready',
      runningPods: 3,
      resourceUsage: { cpuPercent: 1, memoryPercent: 2, diskPercent: 3 },
    });
    await settled();
    return reply;
  }
}
