import type { Journal, NodeIdentity, StakeChain, StakeRecord } from 'k3s-daas/plugin';
import type { StakingConfig } from './config.ts';
import { expiredError, foreignKeyError, judgeLiveRecord, notVisibleYet, worstEnded } from './judge.ts';
import type { Terms } from './terms.ts';

/** What was withdrawn long ago is of no interest. */
const mostEarlier = 20;

export interface StandingServices {
  readonly chain: StakeChain;
  readonly identity: NodeIdentity;
  readonly journal: Journal;
}

/** What stands on chain for this node and wallet. Reads only; what cannot be used is thrown. */
export class Standing {
  readonly #services: StandingServices;
  readonly #config: Pick<StakingConfig, 'minimumMist' | 'rotation'>;

  constructor(services: StandingServices, config: Pick<StakingConfig, 'minimumMist' | 'rotation'>) {
    this.#services = services;
    this.#config = config;
  }

  async liveRecord(signal: AbortSignal): Promise<StakeRecord | undefined> {
    const { chain, identity } = this.#services;
    const { nodeId } = identity;
    const id = await chain.liveRecordOf(nodeId, signal);
    if (id === undefined) return undefined;
    const record = await this.recordOf(id, signal);
    // The record ended between the two reads, and the table still names it.
    if (record.status !== 'active') throw notVisibleYet('end of the stake record', id);
    const { parameters } = await chain.cluster(signal);
    const { minimumMist } = this.#config;
    judgeLiveRecord(record, { nodeId, wallet: chain.wallet, parameters, minimumMist });
    return record;
  }

  async recordOf(id: string, signal: AbortSignal): Promise<StakeRecord> {
    const record = (await this.#services.chain.records([id], signal)).get(id);
    if (!record) throw notVisibleYet('stake record', id);
    return record;
  }

  /**
   * Looks at the record's token. Throws when this machine does not have its key, and when it has expired and the host may
   * not rotate it.
   */
  async checkToken(id: string, signal: AbortSignal): Promise<'good' | 'rotate'> {
    const { chain, identity } = this.#services;
    const token = (await chain.tokens([id], signal)).get(id);
    if (!token) throw notVisibleYet('Seal token', id);
    if (!(await identity.rotation.adopt(id, token.holderKey))) throw foreignKeyError(token);
    const { epoch } = await chain.point(signal);
    if (epoch < token.expiresAtEpoch) return 'good';
    if (this.#config.rotation.mode === 'ask') throw expiredError(token, epoch);
    return 'rotate';
  }

  /**
   * The earlier record of this node and wallet that has ended, if there is one. It is known from the journal, or from the
   * cluster's ring on a machine that lost its journal.
   */
  async endedRecord(signal: AbortSignal): Promise<StakeRecord | undefined> {
    const { chain, identity } = this.#services;
    const known = this.#known;
    const { criticalRing } = await chain.cluster(signal);
    const ids = new Set(criticalRing.map(({ record }) => record));
    if (known !== undefined) ids.add(known);
    if (ids.size === 0) return undefined;
    const found = await chain.records([...ids], signal);
    // Records are never deleted: an endpoint without it is behind, and does not know what became of it.
    if (known !== undefined && !found.get(known)) throw notVisibleYet('stake record', known);
    const records = [...found.values()].filter((record) => record !== undefined);
    return worstEnded(records, { nodeId: identity.nodeId, wallet: chain.wallet });
  }

  /** Remembers the record of this node, so that the end of it is known without the cluster's ring, and those before it. */
  async remember(recordId: string): Promise<void> {
    const { journal } = this.#services;
    const known = this.#known;
    if (known === recordId) return;
    if (known !== undefined)
      await journal.write(this.#earlierKey, [...this.#earlier, known].slice(-mostEarlier));
    await journal.write(this.#key, recordId);
  }

  /** The records that this node had before, as far as the chain shows them. */
  async earlierRecords(signal: AbortSignal): Promise<readonly StakeRecord[]> {
    if (this.#earlier.length === 0) return [];
    const found = await this.#services.chain.records(this.#earlier, signal);
    return [...found.values()].filter((record) => record !== undefined);
  }

  /** Remembers the terms that are accepted with a stake, to show what has changed before the next one. */
  rememberTerms(terms: Terms): Promise<void> {
    return this.#services.journal.write(this.#termsKey, terms);
  }

  get acceptedTerms(): Terms | undefined {
    return this.#services.journal.read(this.#termsKey) as Terms | undefined;
  }

  get #termsKey(): string {
    return `terms/${this.#services.chain.clusterId}`;
  }

  get #known(): string | undefined {
    const known = this.#services.journal.read(this.#key);
    return typeof known === 'string' ? known : undefined;
  }

  get #earlier(): readonly string[] {
    const known = this.#services.journal.read(this.#earlierKey);
    return Array.isArray(known) ? known.filter((id) => typeof id === 'string') : [];
  }

  get #earlierKey(): string {
    return `earlier/${this.#services.chain.clusterId}`;
  }

  /** By cluster: a state directory may be used with another one, where this record means nothing. */
  get #key(): string {
    return `record/${this.#services.chain.clusterId}`;
  }
}
