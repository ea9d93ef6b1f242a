import { GrpcTypes } from '@mysten/sui/grpc';
import type { Checkpoint } from './checkpoints.ts';
import { listEvents, listTransactions } from './event-queries.ts';
import { REFERENCE_GAS_PRICE } from './gas.ts';
import type { Handlers } from './grpc-web.ts';
import { type EpochRecord, type ExecutedTransaction, type Ledger, PROTOCOL_VERSION } from './ledger.ts';
import { applyMask, asksFor, type MaskTree, readMask, subMask } from './read-mask.ts';
import { renderObject } from './render-object.ts';
import { renderExecuted, timestampOf } from './render-transaction.ts';
import { fieldInvalid, fieldMissing, idField, notFound, RpcStatus } from './rpc-error.ts';

const MAX_BATCH = 1000;
const MAX_DIGESTS = 200;

export function ledgerService(ledger: Ledger): Handlers {
  return {
    GetServiceInfo: () => serviceInfo(ledger),
    GetEpoch: (request: GrpcTypes.GetEpochRequest) => getEpoch(ledger, request),
    GetObject: (request: GrpcTypes.GetObjectRequest) => {
      const mask = readMask(request.readMask, OBJECT_DEFAULT, GrpcTypes.Object);
      return { object: getObject(ledger, request, mask) };
    },
    BatchGetObjects: (request: GrpcTypes.BatchGetObjectsRequest) => batchGetObjects(ledger, request),
    GetTransaction: (request: GrpcTypes.GetTransactionRequest) => {
      const mask = readMask(request.readMask, 'digest', GrpcTypes.ExecutedTransaction);
      return { transaction: getTransaction(ledger, request.digest, mask) };
    },
    BatchGetTransactions: (request: GrpcTypes.BatchGetTransactionsRequest) =>
      batchGetTransactions(ledger, request),
    GetCheckpoint: (request: GrpcTypes.GetCheckpointRequest) => {
      const mask = readMask(request.readMask, 'sequence_number,digest', GrpcTypes.Checkpoint);
      return { checkpoint: renderCheckpoint(ledger, findCheckpoint(ledger, request), mask) };
    },
    ListEvents: (request: GrpcTypes.ListEventsRequest) =>
      listEvents(ledger, request, readMask(request.readMask, 'event_type', GrpcTypes.Event)),
    ListTransactions: (request: GrpcTypes.ListTransactionsRequest) =>
      listTransactions(ledger, request, readMask(request.readMask, 'digest', GrpcTypes.ExecutedTransaction)),
  };
}

const SERVER_NAME = 'k3s-daas-devnet';
const OBJECT_DEFAULT = 'object_id,version,digest';
const EPOCH_DEFAULT = 'epoch,first_checkpoint,start,reference_gas_price,protocol_config.protocol_version';

function serviceInfo(ledger: Ledger): GrpcTypes.GetServiceInfoResponse {
  const { tip } = ledger;
  return {
    chainId: ledger.chainId,
    chain: 'unknown',
    epoch: ledger.epoch,
    checkpointHeight: tip.sequenceNumber,
    timestamp: timestampOf(tip.timestampMs),
    lowestAvailableCheckpoint: 0n,
    lowestAvailableCheckpointObjects: 0n,
    server: SERVER_NAME,
  };
}

function getEpoch(ledger: Ledger, request: GrpcTypes.GetEpochRequest): GrpcTypes.GetEpochResponse {
  const mask = readMask(request.readMask, EPOCH_DEFAULT, GrpcTypes.Epoch);
  const wanted = request.epoch ?? ledger.epoch;
  const record = ledger.epochs[Number(wanted)];
  if (!record) throw notFound(`Epoch ${wanted} not found`);
  const whole = GrpcTypes.Epoch.create({
    ...epochFields(ledger, record),
    referenceGasPrice: REFERENCE_GAS_PRICE,
    protocolConfig: { protocolVersion: PROTOCOL_VERSION, featureFlags: {}, attributes: {} },
    systemState: {
      version: 2n,
      epoch: record.epoch,
      protocolVersion: PROTOCOL_VERSION,
      referenceGasPrice: REFERENCE_GAS_PRICE,
      epochStartTimestampMs: BigInt(record.startMs),
      safeMode: false,
      safeModeStorageRewards: 0n,
      safeModeComputationRewards: 0n,
      safeModeStorageRebates: 0n,
      safeModeNonRefundableStorageFee: 0n,
      validatorReportRecords: [],
      parameters: {
        epochDurationMs: BigInt(ledger.epochDurationMs),
        stakeSubsidyStartEpoch: 0n,
        minValidatorCount: 0n,
        maxValidatorCount: 0n,
        minValidatorJoiningStake: 0n,
        validatorLowStakeThreshold: 0n,
        validatorVeryLowStakeThreshold: 0n,
        validatorLowStakeGracePeriod: 0n,
      },
      storageFund: { totalObjectStorageRebates: 0n, nonRefundableBalance: ledger.collectedMist },
      stakeSubsidy: {
        balance: 0n,
        distributionCounter: 0n,
        currentDistributionAmount: 0n,
        stakeSubsidyPeriodLength: 0n,
        stakeSubsidyDecreaseRate: 0,
      },
    },
  });
  return { epoch: applyMask(whole, mask, GrpcTypes.Epoch) };
}

function epochFields(ledger: Ledger, record: EpochRecord): Partial<GrpcTypes.Epoch> {
  const { epoch, startMs, endMs, firstCheckpoint, lastCheckpoint } = record;
  const members = ledger.validators
    .committee(epoch)
    .map(({ publicKey, votingPower }) => ({ publicKey, weight: votingPower }));
  return {
    epoch,
    committee: { epoch, members },
    start: timestampOf(startMs),
    firstCheckpoint,
    ...(endMs === undefined ? {} : { end: timestampOf(endMs) }),
    ...(lastCheckpoint === undefined ? {} : { lastCheckpoint }),
  };
}

/** A single request is to a node a batch of one, and its errors name the field so. */
function objectIdOf(objectId: string | undefined, index = 0): string {
  const field = `requests[${index}].object_id`;
  if (objectId === undefined) throw fieldMissing(field);
  return idField(field, objectId);
}

function getObject(
  ledger: Ledger,
  { objectId, version }: GrpcTypes.GetObjectRequest,
  mask: MaskTree,
): GrpcTypes.Object {
  const id = objectIdOf(objectId);
  if (version !== undefined) {
    const old = ledger.objects.at(id, version);
    if (!old) throw notFound(`Object ${id} with version ${version} not found`);
    return renderObject(old, mask, ledger.code);
  }
  const object = ledger.object(id);
  if (!object) throw notFound(`Object ${id} not found`);
  return renderObject(object, mask, ledger.code);
}

function batchGetObjects(
  ledger: Ledger,
  request: GrpcTypes.BatchGetObjectsRequest,
): GrpcTypes.BatchGetObjectsResponse {
  const mask = readMask(request.readMask, OBJECT_DEFAULT, GrpcTypes.Object);
  if (request.requests.length > MAX_BATCH)
    throw fieldInvalid('requests', `number of batch requests exceed limit of ${MAX_BATCH}`);
  // What is no id at all is an error of the call, not of its item.
  for (const [index, { objectId }] of request.requests.entries()) objectIdOf(objectId, index);
  return {
    objects: request.requests.map((one) => ({
      result: perItem(() => ({ oneofKind: 'object' as const, object: getObject(ledger, one, mask) })),
    })),
  };
}

type StatusProto = Extract<GrpcTypes.GetObjectResult['result'], { oneofKind: 'error' }>['error'];

/** In a batch one miss is that item's, not the call's. */
function perItem<T>(get: () => T): T | { oneofKind: 'error'; error: StatusProto } {
  try {
    return get();
  } catch (error) {
    if (!(error instanceof RpcStatus)) throw error;
    return { oneofKind: 'error', error: { code: error.code, message: error.message, details: [] } };
  }
}

function findTransaction(ledger: Ledger, digest: string | undefined): ExecutedTransaction {
  if (digest === undefined) throw fieldMissing('digest');
  const found = ledger.transactions.get(digest);
  if (!found) throw notFound(`Transaction ${digest} not found`);
  return found;
}

const getTransaction = (
  ledger: Ledger,
  digest: string | undefined,
  mask: MaskTree,
): GrpcTypes.ExecutedTransaction => renderExecuted(findTransaction(ledger, digest), ledger.code, mask, true);

function batchGetTransactions(
  ledger: Ledger,
  request: GrpcTypes.BatchGetTransactionsRequest,
): GrpcTypes.BatchGetTransactionsResponse {
  const mask = readMask(request.readMask, 'digest', GrpcTypes.ExecutedTransaction);
  if (request.digests.length > MAX_DIGESTS)
    throw fieldInvalid('digests', `number of batch requests exceed limit of ${MAX_DIGESTS}`);
  return {
    transactions: request.digests.map((digest) => ({
      result: perItem(() => ({
        oneofKind: 'transaction' as const,
        transaction: getTransaction(ledger, digest, mask),
      })),
    })),
  };
}

function findCheckpoint(ledger: Ledger, { checkpointId }: GrpcTypes.GetCheckpointRequest): Checkpoint {
  switch (checkpointId.oneofKind) {
    case 'sequenceNumber': {
      const found = ledger.checkpoints[Number(checkpointId.sequenceNumber)];
      if (!found) throw notFound(`Checkpoint ${checkpointId.sequenceNumber} not found`);
      return found;
    }
    case 'digest': {
      const found = ledger.checkpoints.find(({ digest }) => digest === checkpointId.digest);
      if (!found) throw notFound(`Checkpoint ${checkpointId.digest} not found`);
      return found;
    }
    default:
      return ledger.tip;
  }
}

export function renderCheckpoint(
  ledger: Ledger,
  checkpoint: Checkpoint,
  mask: MaskTree,
): GrpcTypes.Checkpoint {
  const { transaction } = checkpoint;
  const whole = GrpcTypes.Checkpoint.create({
    sequenceNumber: checkpoint.sequenceNumber,
    digest: checkpoint.digest,
    summary: {
      bcs: { name: 'CheckpointSummary', value: checkpoint.summaryBytes },
      digest: checkpoint.digest,
      epoch: checkpoint.epoch,
      sequenceNumber: checkpoint.sequenceNumber,
      totalNetworkTransactions: checkpoint.networkTotalTransactions,
      contentDigest: checkpoint.contentDigest,
      ...(checkpoint.previousDigest === undefined ? {} : { previousDigest: checkpoint.previousDigest }),
      epochRollingGasCostSummary: checkpoint.epochCost,
      timestamp: timestampOf(checkpoint.timestampMs),
      commitments: [],
      ...endOfEpochFields(checkpoint),
    },
    // Signing costs some 10 ms: only who asks for a signature pays for it.
    ...(asksFor(mask, 'signature')
      ? { signature: ledger.validators.sign(checkpoint.epoch, checkpoint.summaryBytes) }
      : {}),
    contents: {
      bcs: { name: 'CheckpointContents', value: checkpoint.contentBytes },
      digest: checkpoint.contentDigest,
      version: 1,
      transactions: checkpoint.contents.map(({ digest, effectsDigest }) => ({
        transaction: digest,
        effects: effectsDigest,
        signatures: [],
      })),
    },
    transactions: checkpoint.contents.map(({ digest }) =>
      digest === transaction?.digest
        ? renderExecuted(transaction, ledger.code, subMask(mask, 'transactions'), true)
        : GrpcTypes.ExecutedTransaction.create({ digest }),
    ),
  });
  return applyMask(whole, mask, GrpcTypes.Checkpoint);
}

function endOfEpochFields({ endOfEpoch }: Checkpoint): Partial<GrpcTypes.CheckpointSummary> {
  if (!endOfEpoch) return {};
  const nextEpochCommittee = endOfEpoch.nextCommittee.map(({ publicKey, votingPower }) => ({
    publicKey,
    weight: votingPower,
  }));
  return {
    endOfEpochData: {
      nextEpochCommittee,
      nextEpochProtocolVersion: endOfEpoch.nextProtocolVersion,
      epochCommitments: [],
    },
  };
}
