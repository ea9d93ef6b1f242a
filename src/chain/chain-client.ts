import { bcs } from '@mysten/sui/bcs';
import { deriveDynamicFieldID, normalizeStructTag, normalizeSuiAddress } from '@mysten/sui/utils';
import { type Clock, ConfigurationError, DaasError, EXIT } from '#base';
import type { ChainPoint, ChainReader, Cluster, SealToken, StakeRecord } from '#domain';
import {
  type ClusterState,
  clusterFacts,
  decodeCluster,
  proposalFacts,
  recordFacts,
  type SlashProposal,
  tokenFacts,
} from './contract-objects.ts';
import { type Deployment, parseDeployment } from './deployment.ts';
import {
  ChainError,
  chainUnavailable,
  type Endpoint,
  type EndpointAddress,
  type Endpoints,
  openEndpoints,
} from './endpoints/index.ts';
import { k8sGateway, slashing, staking } from './generated/index.ts';
import { createLookout, type Freshness, type Lookout } from './lookout.ts';
import type { ObjectProofs } from './object-proofs.ts';
import { CLOCK_ID, clockOf, type ReadObject, readEpoch, readObjects } from './object-reads.ts';
import { openProofs, type ProofOptions } from './open-proofs.ts';
import type { ProofStore } from './proof/index.ts';
import type { View, ViewOptions } from './proven-views.ts';
import { takeProof } from './pushed-proof.ts';
import { stakeProofs } from './stake-proofs.ts';
import { readTyped } from './typed-reads.ts';

export interface ChainClientOptions extends ProofOptions {
  /** Full nodes, the preferred one first. */
  readonly endpoints: readonly EndpointAddress[];
  /** Asked for proofs of what the endpoints have pruned. */
  readonly archive?: EndpointAddress;
  readonly deployment: Deployment;
  readonly clock: Clock;
  /** Of each call; default 10 s. */
  readonly timeoutMs?: number;
  /** How long a failing read is retried, over all endpoints; default 2 s. With 0 each is asked once. */
  readonly retryForMs?: number;
  /** Called with a stake record that has changed, as the cluster says, while no endpoint shows the change. */
  readonly onHidden?: (recordId: string) => void;
  /** Allow http:// endpoints on other machines. */
  readonly allowInsecure?: boolean;
  /** For tests that cut a connection at a given moment. */
  readonly fetch?: typeof globalThis.fetch;
}

/** The reads of the project, for one cluster of one package on one chain. */
export interface ChainClient extends ChainReader {
  readonly deployment: Deployment;
  readonly endpoints: Endpoints;
  /** Compares chain id, package and cluster with the deployment; throws an error with exit code 78 when they differ. */
  verify(signal?: AbortSignal): Promise<void>;
  /** The cluster object as stored, with version and the chain's clock. */
  clusterState(signal?: AbortSignal): Promise<ClusterSnapshot>;
  proposal(id: string, signal?: AbortSignal): Promise<SlashProposal | undefined>;
  /** The proofs of a token and its stake record that are kept, as proof files for a gateway that lacks them. */
  stakeProofs(tokenId: string): Promise<readonly string[]>;
  /** Takes a proof file that somebody brought; returns the ids of what is newer than what was known. */
  takeProof(text: string): Promise<readonly string[]>;
  /**
   * Takes what a transaction of this program's own has seen of shared objects; older versions count as not read from then on.
   * `undefined` where nothing is proven.
   */
  takeView(transaction: string, options: ViewOptions): Promise<View | undefined>;
  /** How new what is proven is; `undefined` where nothing is proven. */
  freshness(): Freshness | undefined;
  /** Spendable SUI of an address. */
  balance(address: string, signal?: AbortSignal): Promise<Balance>;
}
export interface ClusterSnapshot {
  readonly state: ClusterState;
  readonly version: bigint;
  /** The chain's clock when it was read. */
  readonly nowMs: number;
  /** The chain's time of its last write; `undefined` where nothing is proven. */
  readonly writtenAtMs: number | undefined;
  /** The chain's time of the last probe that found this version to be the newest. */
  readonly probedAtMs: number | undefined;
}
export interface Balance {
  /** In coin objects: what this project spends. */
  readonly coinsMist: bigint;
  /** In the address balance, which it does not. */
  readonly addressBalanceMist: bigint;
}

const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_RETRY_FOR_MS = 2_000;
/** `0x2::dynamic_field::Field<String, ID>`: an entry of the cluster's table. */
const TableEntry = bcs.struct('Field', { id: bcs.Address, name: bcs.string(), value: bcs.Address });
const STRING_TYPE = `${normalizeSuiAddress('0x1')}::string::String`;

/** What all reads of one client share. */
interface Reading {
  readonly deployment: Deployment;
  readonly endpoints: Endpoints;
  readonly proofs: ObjectProofs | undefined;
  readonly store: ProofStore | undefined;
  readonly onHidden: ((recordId: string) => void) | undefined;
  readonly lookout: Lookout | undefined;
  readonly clock: Clock;
  /** The sequence of the last change of each record that the newest cluster names. */
  changes: ReadonlyMap<string, bigint>;
  /** The cluster's table of live records; known after the first read of the cluster. */
  recordsTable: string | undefined;
}

/**
 * Reads one cluster. The first read opens the first connection; `verify` reads at once.
 *
 * With a trust pin in the deployment, cluster, records, tokens and proposals are read as Sui's validators signed them:
 * a record or token without a proof reads as `undefined`, a cluster without a proof as unavailable.
 */
export function createChainClient(options: ChainClientOptions): ChainClient {
  const reading = startReading(options);
  const { deployment, endpoints } = reading;
  const clusterState = (signal?: AbortSignal) => readCluster(reading, signal);
  return {
    deployment,
    endpoints,
    clusterState,
    verify: async (signal) => {
      await clusterState(signal);
    },
    cluster: async (signal) => {
      const { state, version, nowMs, ...times } = await clusterState(signal);
      return { ...clusterFacts(state, version, nowMs), ...times };
    },
    records: (ids, signal) => readRecords(reading, ids, signal),
    tokens: (ids, signal) => readTokens(reading, ids, signal),
    proposal: (id, signal) => readProposal(reading, id, signal),
    liveRecordOf: (nodeId, signal) => readLiveRecord(reading, nodeId, signal),
    point: (signal) => readPoint(endpoints, signal),
    stakeProofs: (tokenId) => stakeProofs(reading, tokenId),
    takeProof: async (text) => (reading.proofs ? takeProof(reading.proofs, deployment, text) : []),
    takeView: async (transaction, view) => reading.proofs?.takeView(transaction, view),
    freshness: () => reading.lookout?.freshness(),
    balance: (address, signal) => readBalance(endpoints, address, signal),
  };
}

function startReading(options: ChainClientOptions): Reading {
  const deployment = parseDeployment(options.deployment, 'the deployment given');
  const reached = {
    chainId: deployment.chainId,
    timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    clock: options.clock,
    retryForMs: options.retryForMs ?? DEFAULT_RETRY_FOR_MS,
    allowInsecure: options.allowInsecure ?? false,
    ...(options.fetch && { fetch: options.fetch }),
  };
  const endpoints = openEndpoints(options.endpoints, reached);
  const archive = options.archive === undefined ? undefined : openEndpoints([options.archive], reached);
  const proofs = openProofs(options, deployment, { endpoints, archive });
  const { clock } = options;
  const { clusterId } = deployment;
  const lookout = proofs && createLookout({ endpoints, proofs, clusterId, nowMs: () => clock.monotonicMs() });
  const { proofStore: store, onHidden } = options;
  const shared = { deployment, endpoints, proofs, store, onHidden, lookout, clock };
  return { ...shared, changes: new Map(), recordsTable: undefined };
}

/** How long the first reading waits for endpoints that may know a newer cluster than the one that answered first. */
const FIRST_LOOK_MS = 2_000;

async function lookAround(
  { lookout, clock, proofs, recordsTable, deployment }: Reading,
  endpoint: Endpoint,
  served: ReadObject | undefined,
): Promise<ReadObject | undefined> {
  const looking = lookout?.look(endpoint, served?.version);
  if (recordsTable !== undefined || !looking) return undefined;
  const stopped = new AbortController();
  await Promise.race([looking, clock.sleep(FIRST_LOOK_MS, stopped.signal).catch(() => undefined)]);
  stopped.abort();
  return proofs?.newest(deployment.clusterId);
}

async function readCluster(reading: Reading, signal?: AbortSignal): Promise<ClusterSnapshot> {
  const { deployment, endpoints, proofs } = reading;
  const { clusterId } = deployment;
  const what = `cluster ${clusterId}`;
  return endpoints.readFromOne(async (endpoint, ended) => {
    // One call for both: the parameters in force must fit the clock of the same node.
    const { served, nowMs } = await endpoint.call(
      what,
      async (client, abort) => {
        const read = await readObjects(client, [clusterId, CLOCK_ID], abort);
        return { served: read.get(clusterId), nowMs: clockOf(read.get(CLOCK_ID)) };
      },
      ended,
    );
    const shown =
      served && proofs ? await provenCluster(proofs, clusterId, served, endpoint, signal) : served;
    const object = (await lookAround(reading, endpoint, served)) ?? shown;
    const isCluster = object?.type === typeIn(deployment, 'cluster', 'Cluster');
    if (!object || !isCluster) {
      // The cluster was there before, and it is never deleted: this node is behind, or has pruned it.
      if (reading.recordsTable !== undefined && !object)
        throw chainUnavailable(what, endpoint.url, new Error('the node does not have it (any more)'));
      throw await whyNoCluster(endpoint, deployment, object, signal);
    }
    const state = decodeCluster(object.content);
    reading.recordsTable = state.nodes.id;
    if (proofs) reading.changes = changesIn(clusterFacts(state, object.version, nowMs));
    const { version, writtenAtMs, probedAtMs } = object;
    return { state, version, nowMs, writtenAtMs, probedAtMs };
  }, signal);
}

async function provenCluster(
  proofs: ObjectProofs,
  clusterId: string,
  served: ReadObject,
  source: Endpoint,
  signal?: AbortSignal,
): Promise<ReadObject> {
  const proven = (await proofs.proven(new Map([[clusterId, served]]), source, signal)).get(clusterId);
  if (proven) return proven;
  throw chainUnavailable(
    `a proof of cluster ${clusterId}`,
    source.url,
    new Error('what it serves is not proven'),
  );
}

function changesIn({ criticalRing, otherRing }: Cluster): ReadonlyMap<string, bigint> {
  return new Map([...otherRing, ...criticalRing].map(({ record, sequence }) => [record, sequence]));
}

function readRecords(reading: Reading, ids: readonly string[], signal?: AbortSignal) {
  const decode = ({ content, writtenAtMs, probedAtMs }: ReadObject): StakeRecord | undefined => {
    const record = { ...recordFacts(content), writtenAtMs, probedAtMs };
    return record.cluster === reading.deployment.clusterId ? record : undefined;
  };
  const type = typeIn(reading.deployment, staking.MODULE, 'StakeRecord');
  // A record from before the change that the proven cluster names: this endpoint is behind, or hides the change.
  const isStale = ({ id, lastSequence }: StakeRecord) => lastSequence < (reading.changes.get(id) ?? 0n);
  const { onHidden } = reading;
  const read = { what: 'stake records', ids, type, decode, isStale, onHidden, isAskedOfAll: true };
  return readTyped(reading, read, signal);
}

function readTokens(reading: Reading, ids: readonly string[], signal?: AbortSignal) {
  const decode = ({ content, ownerAddress }: ReadObject): SealToken | undefined => {
    const token = tokenFacts(content);
    // A token cannot be transferred; its owner is compared with the ledger all the same.
    const isHeld = ownerAddress === token.owner;
    return isHeld && token.cluster === reading.deployment.clusterId ? token : undefined;
  };
  const type = typeIn(reading.deployment, k8sGateway.MODULE, 'SealToken');
  return readTyped(reading, { what: 'Seal tokens', ids, type, decode }, signal);
}

async function readProposal(reading: Reading, id: string, signal?: AbortSignal) {
  const decode = ({ content }: ReadObject): SlashProposal => proposalFacts(content);
  const type = typeIn(reading.deployment, slashing.MODULE, 'SlashProposal');
  const read = await readTyped(reading, { what: 'a slash proposal', ids: [id], type, decode }, signal);
  const proposal = read.get(id);
  return proposal?.cluster === reading.deployment.clusterId ? proposal : undefined;
}

function typeIn({ packageId }: Deployment, module: string, name: string): string {
  return normalizeStructTag(`${packageId}::${module}::${name}`);
}

/**
 * The one place where a node id becomes a record. The table's entry has no proof, so an endpoint could name the record of
 * another node, and a slash, an end or a token would go there: the record has to name the node itself.
 */
async function readLiveRecord(reading: Reading, nodeId: string, signal?: AbortSignal) {
  const { url, recordId } = await readTableEntry(reading, nodeId, signal);
  if (recordId === undefined) return undefined;
  const record = (await readRecords(reading, [recordId], signal)).get(recordId);
  const details = { url, nodeId, recordId };
  if (!record)
    throw new ChainError(
      'DAAS_CHAIN_UNAVAILABLE',
      `${url} names ${recordId} as the record of node '${nodeId}', and no endpoint has shown it yet`,
      { isRetryable: true, details },
    );
  if (record.nodeId === nodeId) return recordId;
  const detail = `it names ${recordId} as the record of node '${nodeId}', and that record is of node '${record.nodeId}'`;
  // With a trust pin the record is proven, so the entry is the lie.
  if (reading.proofs) reading.endpoints.drop(url, detail);
  throw new ChainError(
    'DAAS_RECORD_MISMATCH',
    `the endpoint ${url} is not believed: ${detail}. Nothing is done with it; use another endpoint, or name the record by its id`,
    { isRetryable: true, exitCode: EXIT.joinDeadline, details },
  );
}

async function readTableEntry(reading: Reading, nodeId: string, signal?: AbortSignal) {
  const table = reading.recordsTable ?? (await readCluster(reading, signal)).state.nodes.id;
  const id = tableEntryId(table, nodeId);
  return reading.endpoints.readFromOne(
    (endpoint, ended) =>
      endpoint.call(
        `the record of node ${nodeId}`,
        async (client, abort) => {
          const object = (await readObjects(client, [id], abort)).get(id);
          return { url: endpoint.url, recordId: object && TableEntry.parse(object.content).value };
        },
        ended,
      ),
    signal,
  );
}

/** Object id of a table's entry for a node id. */
function tableEntryId(table: string, nodeId: string): string {
  return deriveDynamicFieldID(table, STRING_TYPE, bcs.string().serialize(nodeId).toBytes());
}

function readPoint(endpoints: Endpoints, signal?: AbortSignal): Promise<ChainPoint> {
  return endpoints.readFromOne(async (endpoint, ended) => {
    const [{ epoch }, timestampMs] = await Promise.all([
      endpoint.call('the epoch', readEpoch, ended),
      endpoint.call(
        'the clock',
        async (client, abort) => clockOf((await readObjects(client, [CLOCK_ID], abort)).get(CLOCK_ID)),
        ended,
      ),
    ]);
    return { epoch, timestampMs };
  }, signal);
}

function readBalance(endpoints: Endpoints, address: string, signal?: AbortSignal): Promise<Balance> {
  return endpoints.read(
    `the balance of ${address}`,
    async (client, ended) => {
      const { balance } = await client.core.getBalance({ owner: address, signal: ended });
      return { coinsMist: BigInt(balance.coinBalance), addressBalanceMist: BigInt(balance.addressBalance) };
    },
    signal,
  );
}

/** Names which of the deployment's ids is wrong. */
async function whyNoCluster(
  endpoint: Endpoint,
  { packageId, clusterId }: Deployment,
  found: ReadObject | undefined,
  signal?: AbortSignal,
): Promise<DaasError> {
  const read = await endpoint.call(
    `package ${packageId}`,
    (client, ended) => readObjects(client, [packageId], ended),
    signal,
  );
  const details = { url: endpoint.url, packageId, clusterId };
  // A full node that is catching up does not know them either. With exit code 78 the host would stay down.
  const behind = { exitCode: EXIT.joinDeadline, details };
  if (read.get(packageId)?.type !== 'package')
    return new DaasError(
      'DAAS_PACKAGE_UNKNOWN',
      `${endpoint.url} knows no package ${packageId}: correct packageId in the deployment file`,
      behind,
    );
  if (!found)
    return new DaasError(
      'DAAS_CLUSTER_UNKNOWN',
      `${endpoint.url} knows no cluster ${clusterId}: correct clusterId in the deployment file`,
      behind,
    );
  return new ConfigurationError(
    'DAAS_CLUSTER_UNKNOWN',
    `the object ${clusterId} is a ${found.type}, not a cluster of package ${packageId}: correct clusterId in the deployment file`,
    { details },
  );
}
