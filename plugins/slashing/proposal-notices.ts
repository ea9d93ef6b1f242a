import {
  errorFields,
  formatSui,
  type ProposedSlash,
  type Scope,
  type StakeChain,
  type StakeRecord,
} from 'k3s-daas/plugin';

type OpenProposal = StakeRecord['proposals'][number];

/** Says that a slash is proposed while it can still be answered: who, why, evidence, until when. */
export class ProposalNotices {
  readonly #scope: Pick<Scope<unknown>, 'emit' | 'log'>;
  readonly #chain: Pick<StakeChain, 'slashProposal'>;
  /** By the id of each open proposal: the votes that were told. */
  readonly #told = new Map<string, number>();

  constructor(scope: Pick<Scope<unknown>, 'emit' | 'log'>, chain: Pick<StakeChain, 'slashProposal'>) {
    this.#scope = scope;
    this.#chain = chain;
  }

  async follow(
    { id: recordId, proposals }: Pick<StakeRecord, 'id' | 'proposals'>,
    signal: AbortSignal,
  ): Promise<void> {
    const open = new Set(proposals.map(({ id }) => id));
    for (const subject of this.#told.keys()) {
      if (open.has(subject)) continue;
      this.#told.delete(subject);
      this.#scope.emit('attention.ended', { kind: 'slash_proposed', subject });
    }
    for (const proposal of proposals) {
      if (this.#told.get(proposal.id) === proposal.voters.length) continue;
      this.#told.set(proposal.id, proposal.voters.length);
      this.#tell(recordId, proposal, await this.#read(proposal.id, signal));
    }
  }

  /** Without it the notice says less, and comes all the same. */
  async #read(id: string, signal: AbortSignal): Promise<ProposedSlash | undefined> {
    try {
      return await this.#chain.slashProposal(id, signal);
    } catch (error) {
      signal.throwIfAborted();
      this.#scope.log.warn('A slash proposal cannot be read', { objectId: id, ...errorFields(error) });
      return undefined;
    }
  }

  #tell(
    recordId: string,
    { id: subject, proposer, voters, expiresAtMs }: OpenProposal,
    read: ProposedSlash | undefined,
  ): void {
    const evidence = read?.evidence.some((byte) => byte !== 0)
      ? Buffer.from(read.evidence).toString('hex')
      : undefined;
    const executableAtMs = read?.executableAtMs ?? expiresAtMs;
    const what = read
      ? `${formatSui(read.amountMist)}, because: ${read.reason}`
      : 'an amount that cannot be read now';
    this.#scope.emit('attention.needed', {
      kind: 'slash_proposed',
      severity: 'critical',
      subject,
      summary: `${proposer} proposes to slash this stake by ${what} (${voters.length} votes; can be executed from ${new Date(executableAtMs).toISOString()} on)`,
      remedy: `answer it before that time: \`k3s-daas slash answer ${subject} --answer FILE\``,
      details: {
        recordId,
        proposer,
        votes: voters.length,
        executableAtMs,
        expiresAtMs,
        ...(evidence !== undefined && { evidence }),
      },
    });
  }
}
