import { bcs } from '@mysten/sui/bcs';
import type { SuiGrpcClient } from '@mysten/sui/grpc';
import { deriveDynamicFieldID, normalizeStructTag, normalizeSuiAddress } from '@mysten/sui/utils';
import { type Clock, ConfigurationError, DaasError, EXIT, type Secret } from '#base';
import type { ChainPoint, ChainReader, Cluster, SealToken, StakeRecord } from '#domain';
import { type Deployment, parseDeployment } from './deployment.ts';
import { type Endpoint, type Endpoints, openEndpoints } from './endpoint.ts';
import { chainUnavailable } from './errors.ts';
import {
  type ClusterState,
  clusterFacts,
  decodeCluster,
  proposalFacts,
  recordFacts,
  type SlashProposal,
  tokenFacts,
} from './facts.ts';
import { k8sGateway, slashing, staking } from './generated/index.ts';
import { createObjectProofs, type ObjectProofs, type UnprovenListener } from './object-proofs.ts';

export interface ChainClientOptions {
  /** URLs of full nodes, the preferred one first. */
  readonly endpoints: readonly string[];
  readonly deployment: Deployment;
  readonly clock: Clock;
  /** Of each call; default 10 s. */
  readonly timeoutMs?: number;
  /** How long a read that fails is tried again, over all endpoints; default 2 s. With 0 each is asked once. */
  readonly retryForMs?: number;
  /** Take http:// endpoints beyond this machine. */
  readonly allowInsecure?: boolean;
  /** Sent with every call to every endpoint. */
  readonly headers?: ReadonlyMap<string, Secret>;
  /** For tests that cut a connection at a given moment. */
  readonly fetch?: typeof globalThis.fetch;
  /** Told of objects that a node serves and cannot prove; only asked for when the deployment has a trust pin. */
  readonly onUnproven?: UnprovenListener;
}

/** The reads of the project, for one cluster of one package on one chain. */
export interface ChainClient extends ChainReader {
  readonly deployment: Deployment;
  readonly endpoints: Endpoints;
  /** Chain id, package and cluster are what the deployment says: else an error with exit code 78. */
  verify(signal?: AbortSignal): Promise<void>;
  /** The cluster object as stored, with version and the chain's clock. */
  clusterState(signal?: AbortSignal): Promise<ClusterSnapshot>;
  proposal(id: string, signal?: AbortSignal): Promise<SlashProposal | undefined>;
  /** Spendable SUI of an address. */
  balance(address: string, signal?: AbortSignal): Promise<Balance>;
}
export interface ClusterSnapshot {
  readonly state: ClusterState;
  readonly version: bigint;
  /** The chain's clock when it was read. */
  readonly nowMs: number;
}
export interface Balance {
  /** In coin objects: what this project spends. */
  readonly coinsMist: bigint;
  /** In the address balance, which it does not. */
  readonly addressBalanceMist: bigint;
}

const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_RETRY_FOR_MS = 2_000;
const CLOCK_ID = '0x6';
const ClockContent = bcs.struct('Clock', { id: bcs.Address, timestampMs: bcs.u64() });
/** `0x2::dynamic_field::Field<String, ID>`: an entry of the cluster's table. */
const TableEntry = bcs.struct('Field', { id: bcs.Address, name: bcs.string(), value: bcs.Address });
const STRING_TYPE = `${normalizeSuiAddress('0x1')}::string::String`;

/**
 * Reads one cluster. Nothing is asked before the first read; `verify` asks at once.
 *
 * With a trust pin in the deployment, cluster, records, tokens and proposals are read as Sui's validators signed them:
 * a record or token that cannot be proven reads as `undefined`, a cluster that cannot be proven as unavailable.
 */
export function createChainClient(options: ChainClientOptions): ChainClient {
  const deployment = parseDeployment(options.deployment, 'the deployment given');
  const endpoints = openEndpoints(options.endpoints, {
    chainId: deployment.chainId,
    timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    clock: options.clock,
    retryForMs: options.retryForMs ?? DEFAULT_RETRY_FOR_MS,
    allowInsecure: options.allowInsecure ?? false,
    ...(options.headers && { headers: options.headers }),
    ...(options.fetch && { fetch: options.fetch }),
  });
  const typeOf = (module: string, name: string) =>
    normalizeStructTag(`${deployment.packageId}::${module}::${name}`);
  const recordType = typeOf(staking.MODULE, 'StakeRecord');
  const tokenType = typeOf(k8sGateway.MODULE, 'SealToken');
  const proposalType = typeOf(slashing.MODULE, 'SlashProposal');
  const clusterType = typeOf('cluster', 'Cluster');
  let recordsTable: string | undefined;
  const proofs: ObjectProofs | undefined =
    deployment.trust &&
    createObjectProofs({
      nodes: endpoints,
      pin: deployment.trust,
      clock: options.clock,
      onUnproven: options.onUnproven,
    });

  async function clusterState(signal?: AbortSignal): Promise<ClusterSnapshot> {
    const what = `cluster ${deployment.clusterId}`;
    return endpoints.withOne(async (endpoint) => {
      // One call for both, so that the parameters in force fit the clock of the same node.
      const { served, nowMs } = await endpoint.call(
        what,
        async (client, ended) => {
          const read = await readObjects(client, [deployment.clusterId, CLOCK_ID], ended);
          return { served: read.get(deployment.clusterId), nowMs: clockOf(read.get(CLOCK_ID)) };
        },
        signal,
      );
      const object =
        served && proofs
          ? await provenCluster(proofs, deployment.clusterId, served, endpoint.url, signal)
          : served;
      const state = object?.type === clusterType ? decodeCluster(object.content) : undefined;
      if (!object || !state) {
        // Seen before, and shared objects are never deleted here: this node is behind, or was pruned.
        if (recordsTable !== undefined && !object)
          throw chainUnavailable(what, endpoint.url, new Error('the node does not have it (any more)'));
        throw await whyNoCluster(endpoint, deployment, object, signal);
      }
      recordsTable = state.nodes.id;
      return { state, version: object.version, nowMs };
    }, signal);
  }

  async function typed<T>(
    what: string,
    ids: readonly string[],
    type: string,
    decode: (object: ReadObject) => T | undefined,
    signal?: AbortSignal,
  ): Promise<Map<string, T | undefined>> {
    if (ids.length === 0) return new Map();
    const factsOf = (read: ReadonlyMap<string, ReadObject>) =>
      new Map(
        ids.map((id) => {
          const object = read.get(id);
          return [id, object?.type === type ? decode(object) : undefined];
        }),
      );
    const { read, facts } = await endpoints.read(
      what,
      // Decoded inside the call: bytes that make no sense are an answer that says nothing.
      async (client, ended) => {
        const objects = await readObjects(client, ids, ended);
        return { read: objects, facts: factsOf(objects) };
      },
      signal,
    );
    return proofs ? factsOf(await proofs.proven(read, signal)) : facts;
  }

  const reader: ChainClient = {
    deployment,
    endpoints,
    clusterState,
    verify: async (signal) => {
      await clusterState(signal);
    },
    cluster: async (signal): Promise<Cluster> => {
      const { state, version, nowMs } = await clusterState(signal);
      return clusterFacts(state, version, nowMs);
    },
    records: (ids, signal) =>
      typed(
        'stake records',
        ids,
        recordType,
        ({ content }): StakeRecord | undefined => {
          const record = recordFacts(content);
          return record.cluster === deployment.clusterId ? record : undefined;
        },
        signal,
      ),
    tokens: (ids, signal) =>
      typed(
        'Seal tokens',
        ids,
        tokenType,
        ({ content, ownerAddress }): SealToken | undefined => {
          const token = tokenFacts(content);
          // Nobody can give a token away; held against the ledger all the same.
          const isHeld = ownerAddress === token.owner;
          return isHeld && token.cluster === deployment.clusterId ? token : undefined;
        },
        signal,
      ),
    proposal: async (id, signal) => {
      const found = await typed(
        'a slash proposal',
        [id],
        proposalType,
        ({ content }) => proposalFacts(content),
        signal,
      );
      const proposal = found.get(id);
      return proposal?.cluster === deployment.clusterId ? proposal : undefined;
    },
    liveRecordOf: async (nodeId, signal) => {
      const table = recordsTable ?? (await clusterState(signal)).state.nodes.id;
      const id = tableEntryId(table, nodeId);
      return endpoints.read(
        `the record of node ${nodeId}`,
        async (client, ended) => {
          const object = (await readObjects(client, [id], ended)).get(id);
          return object && TableEntry.parse(object.content).value;
        },
        signal,
      );
    },
    point: (signal): Promise<ChainPoint> =>
      endpoints.withOne(async (endpoint) => {
        const [{ epoch }, timestampMs] = await Promise.all([
          endpoint.call('the epoch', readEpoch, signal),
          endpoint.call(
            'the clock',
            async (client, ended) => clockOf((await readObjects(client, [CLOCK_ID], ended)).get(CLOCK_ID)),
            signal,
          ),
        ]);
        return { epoch, timestampMs };
      }, signal),
    balance: (address, signal) =>
      endpoints.read(
        `the balance of ${address}`,
        async (client, ended) => {
          const { balance } = await client.core.getBalance({ owner: address, signal: ended });
          return {
            coinsMist: BigInt(balance.coinBalance),
            addressBalanceMist: BigInt(balance.addressBalance),
          };
        },
        signal,
      ),
  };
  return reader;
}

async function provenCluster(
  proofs: ObjectProofs,
  clusterId: string,
  served: ReadObject,
  url: string,
  signal?: AbortSignal,
): Promise<ReadObject> {
  const proven = (await proofs.proven(new Map([[clusterId, served]]), signal)).get(clusterId);
  if (proven) return proven;
  throw chainUnavailable(`a proof of cluster ${clusterId}`, url, new Error('what it serves is not proven'));
}

/** Object id of a table's entry for a node id. */
function tableEntryId(table: string, nodeId: string): string {
  return deriveDynamicFieldID(table, STRING_TYPE, bcs.string().serialize(nodeId).toBytes());
}

export interface ReadObject {
  readonly id: string;
  readonly version: bigint;
  readonly digest: string;
  /** Canonical struct tag; `package` for a package. */
  readonly type: string;
  readonly content: Uint8Array;
  readonly ownerAddress: string | undefined;
  /** Shared objects are named in a transaction by the version they were shared at. */
  readonly initialSharedVersion: bigint | undefined;
  readonly previousTransaction: string;
}

/** Objects by id, in batches of 50 (the SDK's); those that do not exist are missing from the map. */
export async function readObjects(
  client: SuiGrpcClient,
  ids: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, ReadObject>> {
  const { objects } = await client.core.getObjects({
    objectIds: ids.map((id) => normalizeSuiAddress(id)),
    include: { content: true, previousTransaction: true },
    signal,
  });
  const found = new Map<string, ReadObject>();
  objects.forEach((object, index) => {
    const id = ids[index] as string;
    if (object instanceof Error) {
      if ('reason' in object && object.reason !== 'unknown') return;
      throw object;
    }
    const { owner } = object;
    found.set(id, {
      id: object.objectId,
      version: BigInt(object.version),
      digest: object.digest,
      type: object.type,
      content: object.content ?? new Uint8Array(),
      ownerAddress: owner.$kind === 'AddressOwner' ? owner.AddressOwner : undefined,
      initialSharedVersion: owner.$kind === 'Shared' ? BigInt(owner.Shared.initialSharedVersion) : undefined,
      previousTransaction: object.previousTransaction ?? '',
    });
  });
  return found;
}

export interface EpochFacts {
  readonly epoch: bigint;
  readonly gasPrice: bigint;
}

export async function readEpoch(client: SuiGrpcClient, signal: AbortSignal): Promise<EpochFacts> {
  const { response } = await client.ledgerService.getEpoch(
    { readMask: { paths: ['epoch', 'reference_gas_price'] } },
    { abort: signal },
  );
  const { epoch } = response;
  if (epoch?.epoch === undefined || epoch.referenceGasPrice === undefined)
    throw new Error('the reply has no epoch or no gas price');
  return { epoch: epoch.epoch, gasPrice: epoch.referenceGasPrice };
}

function clockOf(object: ReadObject | undefined): number {
  if (!object) throw new Error('the reply has no object 0x6');
  return Number(ClockContent.parse(object.content).timestampMs);
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
  // Nor does a full node that is catching up: a host that ended with 78 for that would stay down.
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
