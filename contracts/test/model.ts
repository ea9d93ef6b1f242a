// oxlint-disable eslint/max-lines -- all rules of the contracts over one state, to be read beside docs/contracts.md
// The rules of the contracts once more, in the plainest TypeScript: what random sequences of calls are judged by. It is
// written from the rules, not from the Move code, and knows only what the sequences use.

export interface Parameters {
  readonly minimum: number;
  readonly topUp: number;
  readonly tiers: readonly [number, number, number];
  readonly unbonding: number;
  readonly tokenEpochs: number;
  readonly slashers: readonly string[];
  readonly threshold: number;
  readonly life: number;
  readonly treasury: string;
}

export interface StakeRecord {
  /** The variable of the Move test that holds it; so for tokens and proposals. */
  readonly name: string;
  readonly staker: string;
  readonly type: 'node' | 'user' | 'admin';
  readonly node: string;
  /** The least stake of its type when it was made. */
  readonly minimum: number;
  balance: number;
  status: 'active' | 'unbonding' | 'slashed' | 'withdrawn';
  unlock: number;
  hold: number;
  slashed: number;
  token: Token | undefined;
  tokenSequence: number;
  open: Proposal[];
  lastSequence: number;
}

export interface Token {
  readonly name: string;
  readonly record: StakeRecord;
  readonly permissions: readonly Permission[];
  readonly expires: number;
  deleted: boolean;
}

export interface Proposal {
  readonly name: string;
  readonly record: StakeRecord;
  readonly proposer: string;
  readonly amount: number;
  votes: string[];
  readonly electorate: readonly string[];
  readonly threshold: number;
  readonly expires: number;
  status: 'open' | 'executed' | 'expired' | 'cancelled';
}

/** Changes of one kind, of node stakes or of the others. */
export interface Ring {
  /** As the Move test reads it. */
  readonly name: string;
  readonly capacity: number;
  entries: { readonly record: StakeRecord; readonly sequence: number }[];
  dropped: number;
}

/** One call: how it reads in a Move test, the named error it must abort with, or else what it does. */
export interface Call {
  readonly code: string;
  readonly abort: string | undefined;
  readonly apply: () => void;
}

const DAY = 86_400_000;
const WORKER: readonly Permission[] = ['nodes:write', 'pods:write'];
export const DEFAULTS: Parameters = {
  minimum: 1_000,
  topUp: 10,
  tiers: [100, 1_000, 10_000],
  unbonding: 400_000,
  tokenEpochs: 100,
  slashers: ['s1', 's2', 's3'],
  threshold: 2,
  life: 100_000,
  treasury: 'treasury',
};

/** What the tests ask for, by the tier that grants it first: any other permission takes the `*:*` of the last one. */
const PERMISSIONS = { 'pods:read': 0, 'nodes:write': 1, 'pods:write': 1, 'jobs:get': 2 } as const;
export type Permission = keyof typeof PERMISSIONS;

/** A cluster with all that was ever made in it. */
export class Model {
  now = 0;
  epoch = 0;
  sequence = 0;
  paidIn = 0;
  #current: Parameters = DEFAULTS;
  #pending: { parameters: Parameters; effective: number; accepted: boolean } | undefined;
  /** When the last of those is unlocked who unbonds under earlier parameters. */
  #earlierUnlock = 0;
  readonly rings: Readonly<Record<'node' | 'account', Readonly<Record<RingKind, Ring>>>> = {
    node: ringsOf('node', 128),
    account: ringsOf('account', 32),
  };
  readonly #reserved = new Map<string, string>();
  readonly records: StakeRecord[] = [];
  readonly tokens: Token[] = [];
  readonly proposals: Proposal[] = [];

  inForce(): Parameters {
    const pending = this.#pending;
    if (!pending || this.now < pending.effective) return this.#current;
    return pending.accepted
      ? pending.parameters
      : { ...pending.parameters, treasury: this.#current.treasury };
  }

  isValid(token: Token): boolean {
    const { record, permissions, expires } = token;
    const isLive = record.token === token && record.status === 'active' && this.epoch < expires;
    const isShort = record.slashed > 0 && record.balance < this.#minimum(record.type);
    return isLive && !isShort && permissions.every((permission) => this.#grants(record, permission));
  }

  holder(node: string): StakeRecord | undefined {
    return this.records.find((record) => record.node === node && record.status === 'active');
  }

  // --- time ---

  wait(ms: number): Call {
    const code = `w.at(${this.now + ms});`;
    return call(code, undefined, () => {
      this.now += ms;
    });
  }

  waitEpochs(count: number): Call {
    return call(`w.epochs(${count});`, undefined, () => {
      this.epoch += count;
    });
  }

  // --- cluster ---

  schedule(sender: string, parameters: Parameters, draft: string): Call {
    const abort = sender === 'admin' ? undefined : 'cluster::ENotAdmin';
    return call(`w.schedule(world::${sender}(), ${draft});`, abort, () => {
      this.#settle();
      this.#pending = {
        parameters,
        effective: Math.max(this.now + this.#current.unbonding + DAY, this.#earlierUnlock),
        accepted: parameters.treasury === this.#current.treasury,
      };
    });
  }

  acceptTreasury(sender: string): Call {
    const pending = this.#pending;
    let abort: string | undefined;
    if (!pending || pending.accepted || this.now >= pending.effective) abort = 'cluster::ENoTreasuryToAccept';
    else if (pending.parameters.treasury !== sender) abort = 'cluster::ENotNewTreasury';
    return call(`w.accept_treasury(world::${sender}());`, abort, () => {
      if (pending) pending.accepted = true;
    });
  }

  removeSlasher(sender: string, slasher: string): Call {
    const before = this.inForce();
    const later = this.#pending && this.now < this.#pending.effective ? this.#pending.parameters : before;
    let abort: string | undefined;
    if (sender !== 'admin') abort = 'cluster::ENotAdmin';
    else if (!before.slashers.includes(slasher) && !later.slashers.includes(slasher))
      abort = 'cluster::ENotASlasher';
    return call(`w.remove_slasher(world::${sender}(), world::${slasher}());`, abort, () => {
      this.#settle();
      const without = (p: Parameters): Parameters => ({
        ...p,
        slashers: p.slashers.filter((one) => one !== slasher),
      });
      this.#current = without(this.#current);
      if (this.#pending) this.#pending.parameters = without(this.#pending.parameters);
    });
  }

  raiseThreshold(sender: string, threshold: number): Call {
    const { threshold: before, slashers } = this.inForce();
    let abort: string | undefined;
    if (sender !== 'admin') abort = 'cluster::ENotAdmin';
    else if (threshold <= before || threshold > slashers.length) abort = 'cluster::EThresholdNotRaised';
    return call(`w.raise_threshold(world::${sender}(), ${threshold});`, abort, () => {
      this.#settle();
      this.#current = { ...this.#current, threshold };
    });
  }

  reserve(sender: string, node: string, reservedFor: string): Call {
    const abort = sender === 'admin' ? undefined : 'cluster::ENotAdmin';
    const code = `w.reserve(world::${sender}(), b"${node}", world::${reservedFor}());`;
    return call(code, abort, () => {
      this.#reserved.set(node, reservedFor);
    });
  }

  unreserve(sender: string, node: string): Call {
    let abort: string | undefined;
    if (sender !== 'admin') abort = 'cluster::ENotAdmin';
    else if (!this.#reserved.has(node)) abort = 'cluster::ENodeIdNotReserved';
    return call(`w.unreserve(world::${sender}(), b"${node}");`, abort, () => {
      this.#reserved.delete(node);
    });
  }

  /** Moves what is in force to its place, which changes nothing that counts. */
  settle(sender: string): Call {
    return call(`w.settle(world::${sender}());`, undefined, () => this.#settle());
  }

  // --- staking ---

  stake(staker: string, type: StakeRecord['type'], amount: number, node: string): Call {
    const name = `r${this.records.length}`;
    const tail = type === 'node' ? `, b"${node}"` : '';
    let abort: string | undefined;
    if (amount < this.#minimum(type)) abort = 'staking::EStakeBelowMinimum';
    else if (type === 'node' && this.holder(node)) abort = 'cluster::ENodeIdTaken';
    else if (type === 'node' && (this.#reserved.get(node) ?? staker) !== staker)
      abort = 'cluster::ENodeIdReserved';
    return call(
      `let mut ${name} = w.stake_${type}(world::${staker}(), ${amount}${tail}); paid_in = paid_in + ${amount};`,
      abort,
      () => {
        const record: StakeRecord = {
          name,
          staker,
          type,
          node: type === 'node' ? node : '',
          minimum: this.#minimum(type),
          balance: amount,
          status: 'active',
          unlock: 0,
          hold: 0,
          slashed: 0,
          token: undefined,
          tokenSequence: 0,
          open: [],
          lastSequence: 0,
        };
        this.records.push(record);
        this.paidIn += amount;
        this.#note('other', record);
      },
    );
  }

  topUp(sender: string, record: StakeRecord, amount: number): Call {
    let abort: string | undefined;
    if (sender !== record.staker) abort = 'staking::ENotStaker';
    else if (record.status !== 'active') abort = 'staking::ENotActive';
    else if (this.#held(record)) abort = 'staking::EProposalOpen';
    else if (amount < this.inForce().topUp) abort = 'staking::ETopUpBelowMinimum';
    return call(
      `w.top_up(world::${sender}(), &mut ${record.name}, ${amount}); paid_in = paid_in + ${amount};`,
      abort,
      () => {
        record.balance += amount;
        this.paidIn += amount;
        this.#note('other', record);
      },
    );
  }

  unstake(sender: string, record: StakeRecord, forced: boolean): Call {
    let abort: string | undefined;
    if (forced && sender !== 'admin') abort = 'cluster::ENotAdmin';
    else if (!forced && sender !== record.staker) abort = 'staking::ENotStaker';
    else if (record.status !== 'active') abort = 'staking::ENotActive';
    const name = forced ? 'force_unstake' : 'unstake';
    return call(`w.${name}(world::${sender}(), &mut ${record.name});`, abort, () => {
      this.#end(record);
      record.status = 'unbonding';
      this.#note(forced ? 'forced' : 'ended', record);
    });
  }

  withdraw(sender: string, record: StakeRecord): Call {
    let abort: string | undefined;
    if (sender !== record.staker) abort = 'staking::ENotStaker';
    else if (record.status === 'active') abort = 'staking::ENotUnbonding';
    else if (record.balance === 0) abort = 'staking::ENothingLeft';
    else if (this.now < record.unlock) abort = 'staking::EStillLocked';
    else if (this.#held(record)) abort = 'staking::EProposalOpen';
    return call(`paid_out = paid_out + w.withdraw(world::${sender}(), &mut ${record.name});`, abort, () => {
      record.balance = 0;
      if (record.status === 'unbonding') record.status = 'withdrawn';
      record.open = [];
      this.#note('ended', record);
    });
  }

  // --- slashing ---

  propose(sender: string, record: StakeRecord, amount: number): Call {
    const parameters = this.inForce();
    const name = `p${this.proposals.length}`;
    let abort: string | undefined;
    if (!parameters.slashers.includes(sender)) abort = 'slashing::ENotSlasher';
    else if (amount === 0) abort = 'slashing::EAmountZero';
    else if (!this.#slashable(record)) abort = 'slashing::EStakeGone';
    else if (record.status !== 'active' && this.now >= record.unlock) abort = 'slashing::EUnlocked';
    else if (amount > record.balance) abort = 'slashing::EAmountAboveStake';
    else if (record.open.some((p) => p.proposer === sender && this.now < p.expires))
      abort = 'slashing::EProposalAlreadyOpen';
    return call(
      `let mut ${name} = w.propose(world::${sender}(), &mut ${record.name}, ${amount});`,
      abort,
      () => {
        const proposal: Proposal = {
          name,
          record,
          proposer: sender,
          amount,
          votes: [],
          electorate: parameters.slashers,
          threshold: parameters.threshold,
          expires: this.now + parameters.life,
          status: 'open',
        };
        this.proposals.push(proposal);
        record.open = [...record.open.filter((p) => this.now < p.expires), proposal];
        this.#note('other', record);
        this.#castVote(proposal, sender);
        if (this.#isEnough(proposal)) this.#carryOut(proposal);
      },
    );
  }

  /** With `executes` the same transaction carries the proposal out when that vote is enough. */
  vote(sender: string, proposal: Proposal, executes: boolean): Call {
    const { record } = proposal;
    let abort: string | undefined;
    if (!this.inForce().slashers.includes(sender)) abort = 'slashing::ENotSlasher';
    else if (!proposal.electorate.includes(sender)) abort = 'slashing::ENotSlasherAtOpening';
    else if (proposal.status !== 'open') abort = 'slashing::EProposalClosed';
    else if (this.now >= proposal.expires) abort = 'slashing::EProposalExpired';
    else if (!this.#slashable(record)) abort = 'slashing::EStakeGone';
    else if (proposal.votes.includes(sender)) abort = 'slashing::EAlreadyVoted';
    const name = executes ? 'vote' : 'only_vote';
    return call(`w.${name}(world::${sender}(), &mut ${record.name}, &mut ${proposal.name});`, abort, () => {
      this.#castVote(proposal, sender);
      if (executes && this.#isEnough(proposal)) this.#carryOut(proposal);
    });
  }

  execute(sender: string, proposal: Proposal): Call {
    const { record } = proposal;
    let abort: string | undefined;
    if (proposal.status !== 'open') abort = 'slashing::EProposalClosed';
    else if (this.now >= proposal.expires) abort = 'slashing::EProposalExpired';
    else if (!this.#slashable(record)) abort = 'slashing::EStakeGone';
    else if (!this.#isEnough(proposal)) abort = 'slashing::ETooFewVotes';
    return call(`w.execute(world::${sender}(), &mut ${record.name}, &mut ${proposal.name});`, abort, () =>
      this.#carryOut(proposal),
    );
  }

  retract(sender: string, proposal: Proposal): Call {
    const { record } = proposal;
    let abort: string | undefined;
    if (proposal.status !== 'open') abort = 'slashing::EProposalClosed';
    else if (!proposal.votes.includes(sender)) abort = 'slashing::ENotVoted';
    return call(`w.retract(world::${sender}(), &mut ${record.name}, &mut ${proposal.name});`, abort, () => {
      proposal.votes = proposal.votes.filter((voter) => voter !== sender);
    });
  }

  cancel(sender: string, proposal: Proposal): Call {
    const { record } = proposal;
    let abort: string | undefined;
    if (proposal.status !== 'open') abort = 'slashing::EProposalClosed';
    else if (sender !== proposal.proposer) abort = 'slashing::ENotProposer';
    else if (proposal.votes.some((voter) => voter !== sender)) abort = 'slashing::EOtherVotes';
    return call(`w.cancel(world::${sender}(), &mut ${record.name}, &mut ${proposal.name});`, abort, () => {
      this.#close(proposal, 'cancelled');
    });
  }

  answer(sender: string, proposal: Proposal): Call {
    const { record } = proposal;
    let abort: string | undefined;
    if (proposal.status !== 'open') abort = 'slashing::EProposalClosed';
    else if (sender !== record.staker) abort = 'staking::ENotStaker';
    else if (this.now >= proposal.expires) abort = 'slashing::EProposalExpired';
    const code = `w.answer(world::${sender}(), &${record.name}, &mut ${proposal.name}, world::key());`;
    return call(code, abort, () => undefined);
  }

  expire(sender: string, proposal: Proposal): Call {
    const { record } = proposal;
    let abort: string | undefined;
    if (proposal.status !== 'open') abort = 'slashing::EProposalClosed';
    else if (this.now < proposal.expires && this.#slashable(record) && this.#counted(proposal) > 0)
      abort = 'slashing::EProposalNotExpired';
    return call(`w.expire(world::${sender}(), &mut ${record.name}, &mut ${proposal.name});`, abort, () => {
      this.#close(proposal, 'expired');
    });
  }

  // --- tokens ---

  /** `asked`: of a user's or admin's token; a worker's has what it has. */
  mint(sender: string, record: StakeRecord, asked: readonly Permission[]): Call {
    const name = `t${this.tokens.length}`;
    const isWorker = record.type === 'node';
    let abort = this.#mayMint(sender, record);
    if (!abort && !isWorker && !asked.every((permission) => this.#grants(record, permission)))
      abort = 'k8s_gateway::EPermissionAboveTier';
    if (!abort && record.token) abort = 'k8s_gateway::ETokenExists';
    const list = asked.map((permission) => `b"${permission}"`).join(', ');
    const code = isWorker
      ? `let ${name} = w.worker_token(world::${sender}(), &mut ${record.name}, world::key());`
      : `let ${name} = w.user_token(world::${sender}(), &mut ${record.name}, vector[${list}], world::key());`;
    return call(code, abort, () => this.#newToken(name, record, isWorker ? WORKER : asked));
  }

  rotate(sender: string, token: Token, record: StakeRecord): Call {
    const name = `t${this.tokens.length}`;
    let abort = this.#mayMint(sender, record);
    if (!abort && token.record !== record) abort = 'k8s_gateway::EWrongToken';
    const kept = (record.type === 'node' ? WORKER : token.permissions).filter((permission) =>
      this.#grants(record, permission),
    );
    if (!abort && kept.length === 0) abort = 'k8s_gateway::ENoPermissionLeft';
    return call(
      `let ${name} = w.rotate(world::${sender}(), &mut ${record.name}, ${token.name}, world::key_2());`,
      abort,
      () => {
        token.deleted = true;
        this.#newToken(name, record, kept);
      },
    );
  }

  revoke(token: Token, record: StakeRecord): Call {
    const abort = token.record === record ? undefined : 'k8s_gateway::EWrongToken';
    return call(`w.revoke(world::${record.staker}(), &mut ${record.name}, ${token.name});`, abort, () => {
      token.deleted = true;
      if (record.token !== token) return;
      record.token = undefined;
      this.#note('ended', record);
    });
  }

  // --- what they share ---

  #mayMint(sender: string, record: StakeRecord): string | undefined {
    if (sender !== record.staker) return 'staking::ENotStaker';
    if (record.status !== 'active') return 'staking::ENotActive';
    if (record.balance < this.#minimum(record.type)) return 'staking::EStakeBelowMinimum';
    return undefined;
  }

  #grants({ balance }: StakeRecord, permission: Permission): boolean {
    return balance >= (this.inForce().tiers[PERMISSIONS[permission]] ?? 0);
  }

  #newToken(name: string, record: StakeRecord, permissions: readonly Permission[]): void {
    const expires = this.epoch + this.inForce().tokenEpochs;
    const token: Token = { name, record, permissions, expires, deleted: false };
    this.tokens.push(token);
    record.token = token;
    record.tokenSequence += 1;
    this.#note('other', record);
  }

  #castVote(proposal: Proposal, voter: string): void {
    proposal.votes.push(voter);
  }

  #counted(proposal: Proposal): number {
    const { slashers } = this.inForce();
    return proposal.votes.filter((voter) => slashers.includes(voter)).length;
  }

  #isEnough(proposal: Proposal): boolean {
    return this.#counted(proposal) >= Math.max(this.inForce().threshold, proposal.threshold);
  }

  #close(proposal: Proposal, status: 'expired' | 'cancelled'): void {
    const { record } = proposal;
    proposal.status = status;
    record.open = record.open.filter((one) => one !== proposal);
    this.#note('other', record);
  }

  #carryOut(proposal: Proposal): void {
    const { record } = proposal;
    proposal.status = 'executed';
    const taken = Math.min(proposal.amount, record.balance);
    record.balance -= taken;
    record.slashed += taken;
    record.open = record.open.filter((one) => one !== proposal);
    if (record.balance < Math.min(this.#minimum(record.type), record.minimum)) {
      if (record.status === 'active') this.#end(record);
      record.status = 'slashed';
    }
    this.#note('forced', record);
  }

  #end(record: StakeRecord): void {
    const { unbonding } = this.inForce();
    record.token = undefined;
    record.unlock = this.now + unbonding;
    record.hold = record.unlock + Math.floor(unbonding / 4);
  }

  #held(record: StakeRecord): boolean {
    if (record.status !== 'active' && this.now >= record.hold) return false;
    return record.open.some((proposal) => this.now < proposal.expires && this.#counted(proposal) > 0);
  }

  #slashable(record: StakeRecord): boolean {
    return record.balance > 0 && (record.status === 'active' || this.now < record.hold);
  }

  #minimum(type: StakeRecord['type']): number {
    const { minimum, tiers } = this.inForce();
    return { node: minimum, user: tiers[0], admin: tiers[2] }[type];
  }

  #settle(): void {
    if (!this.#pending || this.now < this.#pending.effective) return;
    this.#earlierUnlock = this.#pending.effective + this.#current.unbonding;
    this.#current = this.inForce();
    this.#pending = undefined;
  }

  #note(kind: RingKind, record: StakeRecord): void {
    this.sequence += 1;
    record.lastSequence = this.sequence;
    const ring = this.rings[record.type === 'node' ? 'node' : 'account'][kind];
    ring.entries = [
      ...ring.entries.filter((entry) => entry.record !== record),
      { record, sequence: this.sequence },
    ];
    if (ring.entries.length > ring.capacity) ring.dropped = ring.entries.shift()?.sequence ?? 0;
  }
}

/** By who can bring a change about. */
type RingKind = 'forced' | 'ended' | 'other';

function ringsOf(stakes: 'node' | 'account', capacity: number): Record<RingKind, Ring> {
  const ring = (kind: RingKind): Ring => ({
    name: `w.cluster().${stakes}_rings().${kind}()`,
    capacity,
    entries: [],
    dropped: 0,
  });
  return { forced: ring('forced'), ended: ring('ended'), other: ring('other') };
}

function call(code: string, abort: string | undefined, apply: () => void): Call {
  return { code, abort, apply };
}
