import { randomBytes, randomUUID } from 'node:crypto';
import { type Clock, DaasError, Secret, type Secret as SecretType } from '#base';
import {
  type AdmittedName,
  type ForeignPassword,
  type ForeignPasswordChange,
  isOperatorsName,
  type KubernetesNode,
  type KubernetesPort,
  type LiveJoinCredential,
  type NodeChange,
  type NodePasswordSecret,
  RESERVED,
} from '#domain';
import { isNodePassword } from '#seal';
import { readyNode } from './ready-node.ts';

export type PortMethod = keyof KubernetesPort;

const reads: readonly PortMethod[] = [
  'node',
  'nodes',
  'leaseRenewedAtMs',
  'nodePassword',
  'admittedNames',
  'admittedName',
  'showsCertificates',
  'clientAuthorities',
  'joinCredentials',
  'watchNodes',
  'watchForeignPasswords',
];

/**
 * A k3s cluster in memory that keeps the promises of `KubernetesPort`, and the rules that the gateway's order of steps
 * rests on (measured on k3s 1.36): a join credential claims any name that is not reserved; the holder of a
 * certificate for a name can make its Node, if the name is admitted; deleting a Node deletes its password.
 */
export class FakeKubernetes implements KubernetesPort {
  readonly names = new Map<string, string>();
  /** Of the object of a name: a write that was under way when it changed fails. */
  readonly #versions = new Map<string, number>();
  /** The staked names as they were last admitted, with the certificates that count. */
  readonly admitted = new Map<string, AdmittedName>();
  /** Finalizers that somebody has set on a Node. */
  readonly finalizers = new Map<string, readonly string[]>();
  /** PEM; of a CA that a test made. */
  clientCa = '';
  hasFingerprints = true;
  readonly passwords = new Map<string, NodePasswordSecret>();
  readonly credentials = new Map<string, LiveJoinCredential & { readonly secret: string }>();
  /** When the kubelet of a Node renewed its Lease. */
  readonly leases = new Map<string, number>();
  readonly pods = new Map<string, number>();
  readonly taints = new Map<string, string>();
  readonly calls: string[] = [];
  /** Called before a method does anything: a test may throw here, or look around. */
  before: ((method: PortMethod, nodeId: string | undefined) => void | Promise<void>) | undefined;
  isDown = false;
  /** The gateway whose call is entered, as far as a test says. */
  caller = '';
  heldAddresses: readonly string[] = [];
  /** How often `heldAddresses` was written: beside what is done for a node, so that `calls` has none of it. */
  heldWrites = 0;
  readonly #nodes = new Map<string, KubernetesNode>();
  readonly #listeners = new Set<(change: NodeChange) => void>();
  readonly #foreignPasswords = new Map<string, ForeignPassword>();
  readonly #passwordListeners = new Set<(change: ForeignPasswordChange) => void>();
  readonly #answers = new Map<string, Promise<boolean>>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async #enter(method: PortMethod, nodeId?: string): Promise<void> {
    await this.before?.(method, nodeId);
    if (this.isDown)
      throw new DaasError('DAAS_CLUSTER_UNAVAILABLE', 'the fake cluster is down', { isRetryable: true });
    if (method !== 'holdAddresses' && !reads.includes(method))
      this.calls.push(nodeId === undefined ? method : `${method} ${nodeId}`);
  }

  async node(name: string) {
    await this.#enter('node', name);
    return this.#nodes.get(name);
  }
  async nodes() {
    await this.#enter('nodes');
    return [...this.#nodes.values()];
  }
  async leaseRenewedAtMs(name: string) {
    await this.#enter('leaseRenewedAtMs', name);
    return this.leases.get(name);
  }
  async watchNodes(listener: (change: NodeChange) => void, signal: AbortSignal) {
    await this.#enter('watchNodes');
    listener({ kind: 'listed', nodes: [...this.#nodes.values()] });
    this.#listeners.add(listener);
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    this.#listeners.delete(listener);
  }

  async watchForeignPasswords(listener: (change: ForeignPasswordChange) => void, signal: AbortSignal) {
    await this.#enter('watchForeignPasswords');
    listener({ kind: 'listed', passwords: [...this.#foreignPasswords.values()] });
    this.#passwordListeners.add(listener);
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    this.#passwordListeners.delete(listener);
  }

  /** The watch on the password Secrets breaks, and does not come back before it is healed. */
  breakPasswordWatch(): void {
    for (const listener of this.#passwordListeners) listener({ kind: 'unwatched' });
  }
  healPasswordWatch(): void {
    for (const listener of this.#passwordListeners)
      listener({ kind: 'listed', passwords: [...this.#foreignPasswords.values()] });
  }

  async nodePassword(nodeId: string) {
    await this.#enter('nodePassword', nodeId);
    return this.passwords.get(nodeId);
  }
  async reserveNodePassword({ nodeId, hash, recordId }: { nodeId: string; hash: string; recordId: string }) {
    await this.#enter('reserveNodePassword', nodeId);
    this.passwords.delete(nodeId);
    this.#removeForeignPassword(nodeId);
    // The moment in which the name is not reserved.
    await this.before?.('reserveNodePassword', `gap of ${nodeId}`);
    this.passwords.set(nodeId, { nodeId, hash, recordId });
  }
  async releaseNodePassword(nodeId: string) {
    const secret = this.passwords.get(nodeId);
    await this.#enter('releaseNodePassword', nodeId);
    if (this.passwords.get(nodeId) === secret && this.passwords.get(nodeId)?.recordId !== undefined)
      this.passwords.delete(nodeId);
  }

  async admittedNames() {
    await this.#enter('admittedNames');
    return new Map(this.names);
  }
  async admittedName(name: string) {
    await this.#enter('admittedName', name);
    return this.names.get(name);
  }
  async admitName(request: AdmittedName) {
    const { nodeId, tier } = request;
    const version = this.#versions.get(nodeId);
    await this.#enter('admitName', nodeId);
    this.#mustNotBeReserved(nodeId);
    this.#change(nodeId, version);
    this.names.set(nodeId, tier);
    this.admitted.set(nodeId, request);
  }
  async removeName(nodeId: string) {
    const version = this.#versions.get(nodeId);
    await this.#enter('removeName', nodeId);
    this.#mustNotBeReserved(nodeId);
    this.#change(nodeId, version);
    this.names.delete(nodeId);
    this.admitted.delete(nodeId);
  }
  async holdAddresses(addresses: readonly string[]) {
    await this.#enter('holdAddresses');
    if (addresses.join() === this.heldAddresses.join()) return;
    this.heldWrites += 1;
    this.heldAddresses = addresses;
  }
  async renewNames() {
    await this.#enter('renewNames');
    for (const name of this.names.keys()) this.#change(name, this.#versions.get(name));
    return this.names.size;
  }
  /** A patch names the version that was read; a Node that has gone meanwhile is fine. */
  #mustBeNode(name: string, uid: string | undefined): void {
    if (this.#nodes.has(name) && this.uidOf(name) !== uid)
      throw new DaasError('DAAS_CLUSTER_REFUSED', `the Node ${name} is another one (409 Conflict)`);
  }
  #change(name: string, version: number | undefined): void {
    if (this.#versions.get(name) !== version)
      throw new DaasError('DAAS_CLUSTER_REFUSED', `the object of ${name} has changed (409 Conflict)`);
    this.#versions.set(name, (version ?? 0) + 1);
  }
  async relistName({ name, from, to }: { name: string; from: string; to: string }) {
    const isListed = () => this.names.get(name) === from;
    // Read first: a name that is listed otherwise is not written.
    if (!isListed()) return false;
    await this.#enter('relistName', name);
    if (!isListed()) return false;
    this.names.set(name, to);
    return true;
  }

  async createJoinCredential({
    nodeId,
    recordId,
    expiresAtMs,
  }: {
    nodeId: string;
    recordId: string;
    expiresAtMs: number;
  }) {
    await this.#enter('createJoinCredential', nodeId);
    const tokenId = randomBytes(3).toString('hex');
    const secret = randomBytes(8).toString('hex');
    this.credentials.set(tokenId, { id: tokenId, nodeId, recordId, expiresAtMs, secret });
    return { id: tokenId, credential: new Secret(`${tokenId}.${secret}`), expiresAtMs };
  }
  async revokeJoinCredential(tokenId: string) {
    await this.#enter('revokeJoinCredential');
    this.credentials.delete(tokenId);
  }
  async joinCredentials() {
    await this.#enter('joinCredentials');
    return [...this.credentials.values()].map(({ id, nodeId, recordId, expiresAtMs }) => ({
      id,
      nodeId,
      recordId,
      expiresAtMs,
    }));
  }

  async markNode({ nodeId, recordId, tier, staker, attestation }: Parameters<KubernetesPort['markNode']>[0]) {
    const uid = this.uidOf(nodeId);
    await this.#enter('markNode', nodeId);
    if (this.uidOf(nodeId) === uid)
      this.updateNode(nodeId, { stakeRecordId: recordId, tier, staker, attestation });
  }
  async cordonNode({ nodeId, reason }: { nodeId: string; reason: string }) {
    const uid = this.uidOf(nodeId);
    await this.#enter('cordonNode', nodeId);
    this.#mustBeNode(nodeId, uid);
    this.updateNode(nodeId, { cordonedFor: reason });
  }
  async uncordonNode(nodeId: string) {
    const uid = this.uidOf(nodeId);
    await this.#enter('uncordonNode', nodeId);
    this.#mustBeNode(nodeId, uid);
    this.updateNode(nodeId, { cordonedFor: undefined });
  }
  async cordonAndTaint({ nodeId, reason }: { nodeId: string; reason: string }) {
    const uid = this.uidOf(nodeId);
    await this.#enter('cordonAndTaint', nodeId);
    this.#mustBeNode(nodeId, uid);
    if (!this.#nodes.has(nodeId)) return;
    this.taints.set(nodeId, reason);
    this.updateNode(nodeId, { isUnschedulable: true });
  }
  async removePods(nodeId: string) {
    const uid = this.uidOf(nodeId);
    await this.#enter('removePods', nodeId);
    // Pods are named by their uid.
    if (this.uidOf(nodeId) !== uid) return 0;
    const count = this.pods.get(nodeId) ?? 0;
    this.pods.delete(nodeId);
    return count;
  }
  async deleteNode({ nodeId, uid }: { nodeId: string; uid?: string }) {
    await this.#enter('deleteNode', nodeId);
    const node = this.#nodes.get(nodeId);
    if (!node || (uid !== undefined && node.uid !== uid)) return [];
    this.removeNode(nodeId);
    const stripped = this.finalizers.get(nodeId) ?? [];
    this.finalizers.delete(nodeId);
    return stripped;
  }

  async showsCertificates() {
    await this.#enter('showsCertificates');
    return this.hasFingerprints;
  }
  async clientAuthorities() {
    await this.#enter('clientAuthorities');
    return this.clientCa;
  }

  // What others do to the cluster.

  /** A Node that appears by other means: a server, an ordinary agent, an administrator. */
  addNode(name: string, change: Partial<KubernetesNode> = {}): KubernetesNode {
    const node = readyNode(name, this.#clock.nowMs(), change);
    this.#nodes.set(name, node);
    this.#tell({ kind: 'added', node });
    return node;
  }
  updateNode(name: string, change: Partial<KubernetesNode>): void {
    const node = this.#nodes.get(name);
    if (!node) return;
    const changed = { ...node, ...change };
    this.#nodes.set(name, changed);
    this.#tell({ kind: 'modified', node: changed });
  }
  /** The kubelet has stopped, or is cut off, for so long that the node controller has noticed. */
  silenceKubelet(name: string): void {
    this.updateNode(name, { isReady: false, isKubeletSilent: true, readyChangedAtMs: this.#clock.nowMs() });
  }
  /** It reports again. */
  wakeKubelet(name: string): void {
    this.updateNode(name, { isReady: true, isKubeletSilent: false, readyChangedAtMs: this.#clock.nowMs() });
  }
  removeNode(name: string): void {
    const node = this.#nodes.get(name);
    if (!node) return;
    this.#nodes.delete(name);
    // As k3s does: the password goes with its Node.
    this.passwords.delete(name);
    this.#removeForeignPassword(name);
    this.#tell({ kind: 'deleted', node });
  }
  has(name: string): boolean {
    return this.#nodes.has(name);
  }
  uidOf(name: string): string | undefined {
    return this.#nodes.get(name)?.uid;
  }

  /**
   * `k3s agent` at the supervisor: a live credential and the right password (or the first claim of the name) get a
   * certificate for it. Resolves with the HTTP status.
   */
  async claim(nodeId: string, joinToken: string, password: SecretType): Promise<200 | 401 | 403> {
    const [, tokenId = '', secret = ''] = /([a-z0-9]{6})\.([a-z0-9]{16})$/.exec(joinToken) ?? [];
    const credential = this.credentials.get(tokenId);
    if (credential?.secret !== secret || credential.expiresAtMs <= this.#clock.nowMs()) return 401;
    const reserved = this.passwords.get(nodeId);
    if (reserved) return (await this.#isRight(password, reserved.hash)) ? 200 : 403;
    this.passwords.set(nodeId, { nodeId, hash: `of ${password.reveal()}`, recordId: undefined });
    this.#addForeignPassword(nodeId);
    return 200;
  }
  /**
   * A kubelet makes its Node, with a certificate that the policies are shown (`fingerprint`), or with one that the name's
   * own worker is taken to have shown.
   */
  createNodeAs(nodeId: string, fingerprint?: string): 201 | 403 | 409 {
    if ([undefined, RESERVED].includes(this.names.get(nodeId))) return 403;
    if (fingerprint !== undefined && !this.#isVouched(nodeId, fingerprint)) return 403;
    if (this.#nodes.has(nodeId)) return 409;
    this.addNode(nodeId);
    return 201;
  }

  /** scrypt is slow on purpose; the same question is asked over and over by those who try. */
  #isRight(password: SecretType, hash: string): Promise<boolean> {
    const question = `${password.reveal()} ${hash}`;
    const known = this.#answers.get(question) ?? isNodePassword(password, hash);
    this.#answers.set(question, known);
    return known;
  }

  /** Any other write of a kubelet: with any certificate of the name, unless it is contested. */
  mayWriteAs(nodeId: string, fingerprint: string): boolean {
    const listing = this.names.get(nodeId);
    if (listing === undefined) return false;
    if (isOperatorsName(listing) || !this.admitted.get(nodeId)?.isContested) return true;
    return this.#isVouched(nodeId, fingerprint);
  }

  #isVouched(nodeId: string, fingerprint: string): boolean {
    const vouches = this.admitted.get(nodeId)?.vouches;
    if (vouches === undefined || !this.hasFingerprints) return true;
    return vouches.some((vouch) => vouch.identity === 'kubelet' && vouch.fingerprint === fingerprint);
  }

  #mustNotBeReserved(nodeId: string): void {
    if (isOperatorsName(this.names.get(nodeId)))
      throw new DaasError('DAAS_NAME_RESERVED', `the name ${nodeId} is reserved`);
  }

  /** A password Secret that is not the gateway's appears. */
  #addForeignPassword(nodeId: string): void {
    const password = { nodeId, uid: randomUUID() };
    this.#foreignPasswords.set(nodeId, password);
    for (const listener of this.#passwordListeners) listener({ kind: 'added', password });
  }
  #removeForeignPassword(nodeId: string): void {
    const password = this.#foreignPasswords.get(nodeId);
    if (!password) return;
    this.#foreignPasswords.delete(nodeId);
    for (const listener of this.#passwordListeners) listener({ kind: 'deleted', password });
  }

  #tell(change: NodeChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}
