import {
  ConfigurationError,
  definePlugin,
  formatSui,
  HostControl,
  NodeIdentity,
  PluginJournal,
  type SealedStake,
  SealTokenSource,
  StakeChain,
  type StakePreview,
  type StakeRecord,
  stakeEnding,
} from 'k3s-daas/plugin';
import { StakingConfig } from './config.ts';
import { endedError, judgeLiveRecord, judgeToken, notVisibleYet, worstEnded } from './judge.ts';

/**
 * Finds or makes the stake record and the Seal token of this node. Every step asks the chain what stands before it sends
 * anything, and what is sent is journaled by `StakeChain`: killed at any moment, it goes on where it was.
 */
export default definePlugin({
  name: 'staking',
  api: 1,
  config: StakingConfig,
  needs: { chain: StakeChain, identity: NodeIdentity, journal: PluginJournal, control: HostControl },
  setup(scope, { chain, identity, journal, control }) {
    const { config, log, emit } = scope;
    const { nodeId } = identity;
    /** A state directory may be used with another cluster, where this record is nothing. */
    const knownRecord = `record/${chain.clusterId}`;

    async function find(signal: AbortSignal): Promise<SealedStake | undefined> {
      const record = await liveRecord(signal);
      if (!record) {
        await refuseEnded(signal);
        return undefined;
      }
      if (record.token === undefined) return undefined;
      await checkToken(record.token, signal);
      return { recordId: record.id, tokenId: record.token, stakeMist: record.stakeMist };
    }

    async function obtain(
      onPhase: (phase: 'stake' | 'seal') => void,
      signal: AbortSignal,
    ): Promise<SealedStake> {
      onPhase('stake');
      const settled = await chain.settlePending(signal);
      const record = (await liveRecord(signal)) ?? (await makeRecord(signal));
      if (settled?.objectId === record.id) announceStake(record, settled.digest);
      else if (!announced.has(record.id)) {
        announced.add(record.id);
        emit('stake.found', { recordId: record.id, stakeMist: record.stakeMist });
      }
      await journal.write(knownRecord, record.id);

      onPhase('seal');
      const tokenId = await obtainToken(record, settled, signal);
      return { recordId: record.id, tokenId, stakeMist: record.stakeMist };
    }

    /** Records that were told of: a stake just made is not also found. */
    const announced = new Set<string>();
    function announceStake(record: { id: string; stakeMist: bigint }, digest: string): void {
      announced.add(record.id);
      emit('stake.created', { recordId: record.id, digest, stakeMist: record.stakeMist });
    }

    async function preview(signal: AbortSignal): Promise<StakePreview> {
      const record = await liveRecord(signal);
      return { plan: record ? await planWithRecord(record, signal) : await planWithoutRecord(signal) };
    }

    async function planWithRecord(record: StakeRecord, signal: AbortSignal): Promise<string> {
      const stands = `record ${record.id} stands (${record.status}) with ${formatSui(record.stakeMist)}`;
      if (record.token !== undefined) {
        await checkToken(record.token, signal);
        return `${stands} and token ${record.token}`;
      }
      const request = { recordId: record.id, holderKey: identity.holderKey };
      const { gasBudgetMist } = await chain.simulateSealToken(request, signal);
      return `${stands}; would mint its Seal token (gas at most ${formatSui(gasBudgetMist)})`;
    }

    async function planWithoutRecord(signal: AbortSignal): Promise<string> {
      await refuseEnded(signal);
      const stakeMist = expectAmount();
      const { gasBudgetMist } = await chain.simulateStake({ nodeId, stakeMist }, signal);
      const { minimumWorkerStakeMist } = (await chain.cluster(signal)).parameters;
      return (
        `would stake ${formatSui(stakeMist)} (minimum of the cluster: ${formatSui(minimumWorkerStakeMist)}; ` +
        `gas at most ${formatSui(gasBudgetMist)}) and mint a Seal token`
      );
    }

    async function liveRecord(signal: AbortSignal): Promise<StakeRecord | undefined> {
      const id = await chain.liveRecordOf(nodeId, signal);
      if (id === undefined) return undefined;
      const record = await recordOf(id, signal);
      // Read between two changes: the table names it and it has ended meanwhile.
      if (record.status !== 'active') throw notVisibleYet('end of the stake record', id);
      const { parameters } = await chain.cluster(signal);
      judgeLiveRecord(record, { nodeId, wallet: chain.wallet, parameters, minimumMist: config.minimumMist });
      return record;
    }

    async function recordOf(id: string, signal: AbortSignal): Promise<StakeRecord> {
      const record = (await chain.records([id], signal)).get(id);
      if (!record) throw notVisibleYet('stake record', id);
      return record;
    }

    async function makeRecord(signal: AbortSignal): Promise<StakeRecord> {
      await refuseEnded(signal);
      const stakeMist = expectAmount();
      log.info('Staking', { nodeId, stakeMist });
      const { objectId, digest } = await chain.stakeForNode({ nodeId, stakeMist }, signal);
      // Remembered before anything can fail: a machine that lost this would have to find it on chain.
      await journal.write(knownRecord, objectId);
      announceStake({ id: objectId, stakeMist }, digest);
      return recordOf(objectId, signal);
    }

    function expectAmount(): bigint {
      if (config.stakeMist !== undefined) return config.stakeMist;
      throw new ConfigurationError(
        'DAAS_STAKE_AMOUNT_MISSING',
        `nothing is staked for node '${nodeId}' and no amount is configured: set stakeMist of the plugin (stake.amountMist), or stake with \`k3s-daas stake\``,
      );
    }

    /**
     * A second record for the same node and wallet is never made unasked: a slashed worker would pay again at every
     * restart. Earlier ones are known by the journal, and by the cluster's ring to a machine that lost its journal.
     */
    async function refuseEnded(signal: AbortSignal): Promise<void> {
      if (config.stakeAgain) return;
      const known = journal.read(knownRecord);
      const { criticalRing } = await chain.cluster(signal);
      const ids = new Set(criticalRing.map(({ record }) => record));
      if (typeof known === 'string') ids.add(known);
      if (ids.size === 0) return;
      const found = await chain.records([...ids], signal);
      // Records are never deleted: an endpoint without it is behind, and what became of it is not known there.
      if (typeof known === 'string' && !found.get(known)) throw notVisibleYet('stake record', known);
      const records = [...found.values()].filter((record) => record !== undefined);
      const ended = worstEnded(records, { nodeId, wallet: chain.wallet });
      if (!ended) return;
      const ending = stakeEnding(ended, false);
      if (ending) control.stop({ ...ending, source: 'chain' });
      throw endedError(ended);
    }

    async function obtainToken(
      record: StakeRecord,
      settled: { objectId: string; digest: string } | undefined,
      signal: AbortSignal,
    ): Promise<string> {
      if (record.token !== undefined) {
        await checkToken(record.token, signal);
        if (settled?.objectId === record.token)
          emit('seal.minted', { tokenId: record.token, recordId: record.id, digest: settled.digest });
        else emit('seal.found', { tokenId: record.token, recordId: record.id });
        return record.token;
      }
      const request = { recordId: record.id, holderKey: identity.holderKey };
      const { objectId, digest } = await chain.createWorkerSealToken(request, signal);
      emit('seal.minted', { tokenId: objectId, recordId: record.id, digest });
      return objectId;
    }

    async function checkToken(id: string, signal: AbortSignal): Promise<void> {
      const token = (await chain.tokens([id], signal)).get(id);
      if (!token) throw notVisibleYet('Seal token', id);
      const { epoch } = await chain.point(signal);
      judgeToken(token, { holderKey: identity.holderKey, epoch });
    }

    scope.provide(SealTokenSource, { find, obtain, preview });
  },
});
