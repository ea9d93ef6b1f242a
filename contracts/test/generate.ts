// Random sequences of calls as Move tests. A small model (model.ts) says what each call must lead to; after every call
// the test compares every record, token, name and ring with it, and counts the coins.
import {
  type Call,
  DEFAULTS,
  Model,
  type Parameters,
  type Permission,
  type Proposal,
  type StakeRecord,
} from './model.ts';
import type { Files } from './move.ts';

const STORIES = 6;
const STORY_CALLS = 36;
/** Tests that end in an abort: the calls before it, and the call that must fail with this very error. */
const ABORTS = 20;
const ABORT_CALLS = 12;
const STAKERS = ['alice', 'bob', 'mallory'];
const SLASHERS = ['s1', 's2', 's3'];
const ASKED: readonly (readonly Permission[])[] = [
  ['pods:read'],
  ['nodes:write', 'pods:read'],
  ['jobs:get'],
  ['pods:write'],
];
const NODES = ['n1', 'n2', 'n3'];
const STATUS = { active: 0, unbonding: 1, slashed: 2, withdrawn: 3 };
const PROPOSAL_STATUS = { open: 0, executed: 1, expired: 2, cancelled: 3 };

/** The generated test file for a seed: the same seed, the same text. */
export function generatedTests(seed: number): Files {
  const random = new Random(seed);
  const tests: string[] = [];
  for (let i = 0; i < STORIES; i++) tests.push(story(random, i));
  const used = new Map<string, number>();
  for (let i = 0; i < ABORTS; i++) tests.push(abortStory(random, i, used));
  return { 'tests/generated_tests.move': `${HEADER}\n${tests.join('\n')}` };
}

const HEADER = `#[test_only]
module k3s_daas::generated_tests;

use k3s_daas::cluster::Ring;
use k3s_daas::staking::StakeRecord;
use k3s_daas::world::{Self, World};

fun record(
    r: &StakeRecord, balance: u64, status: u8, unlock: u64, hold: u64, slashed: u64, sequence: u64, open: u64,
    token: Option<ID>, last_sequence: u64,
) {
    assert!(r.last_sequence() == last_sequence);
    assert!(r.balance_mist() == balance);
    assert!(r.status() == status);
    assert!(r.unlock_at_ms() == unlock);
    assert!(r.hold_until_ms() == hold);
    assert!(r.slashed_amount() == slashed);
    assert!(r.token_sequence() == sequence);
    assert!(r.open_proposals().length() == open);
    assert!(r.token() == token);
    // Whatever the model says: no token without an active record.
    assert!(r.token().is_none() || r.is_active());
}

fun ring(ring: &Ring, records: vector<ID>, sequences: vector<u64>, dropped: u64) {
    assert!(ring.dropped_seq() == dropped);
    assert!(ring.entries().length() == records.length());
    let mut i = 0;
    while (i < records.length()) {
        assert!(ring.entries()[i].entry_record() == records[i]);
        assert!(ring.entries()[i].entry_sequence() == sequences[i]);
        i = i + 1;
    }
}

fun names(w: &World, n1: Option<ID>, n2: Option<ID>, n3: Option<ID>) {
    assert!(w.cluster().record_of_node(b"n1".to_string()) == n1);
    assert!(w.cluster().record_of_node(b"n2".to_string()) == n2);
    assert!(w.cluster().record_of_node(b"n3".to_string()) == n3);
    let mut count = 0;
    if (n1.is_some()) count = count + 1;
    if (n2.is_some()) count = count + 1;
    if (n3.is_some()) count = count + 1;
    assert!(w.cluster().node_count() == count);
}

fun in_force(w: &World, minimum: u64, unbonding: u64, threshold: u64, slashers: vector<address>, treasury: address) {
    let p = w.in_force();
    assert!(p.minimum_stake_mist() == minimum);
    assert!(p.unbonding_ms() == unbonding);
    assert!(p.slash_threshold() == threshold);
    assert!(p.slashers() == &slashers);
    assert!(p.treasury() == treasury);
}
`;

function story(random: Random, number: number): string {
  const model = new Model();
  const lines: string[] = [];
  while (lines.length < STORY_CALLS) {
    const step = anyCall(random, model);
    if (step.abort) continue;
    step.apply();
    // Only an execution can have sent coins to a treasury.
    const collect = /w\.(propose|vote|execute)\(/.test(step.code) ? COLLECT : '';
    lines.push(`    ${step.code}\n${collect}${comparison(model, recordIn(model, step))}`);
  }
  const all = model.records.map((record) => comparison(model, record)).join('');
  return `#[test]\nfun story_${number}() {\n${BEGIN}${lines.join('')}${all}${ending(model)}}\n`;
}

function abortStory(random: Random, number: number, used: Map<string, number>): string {
  const model = new Model();
  const lines: string[] = [];
  while (lines.length < ABORT_CALLS) {
    const step = anyCall(random, model);
    if (step.abort) continue;
    step.apply();
    lines.push(`    ${step.code}\n`);
  }
  // Of many calls that must fail here, one whose error has been had the least.
  const had = (step: Call): number => used.get(step.abort ?? '') ?? 0;
  const failing = Array.from({ length: 100 }, () => anyCall(random, model)).filter((step) => step.abort);
  const [last] = failing.sort((a, b) => had(a) - had(b));
  if (!last?.abort) return '';
  used.set(last.abort, had(last) + 1);
  const head = `#[test, expected_failure(abort_code = k3s_daas::${last.abort})]\nfun abort_${number}()`;
  return `${head} {\n${BEGIN}${lines.join('')}    ${last.code}\n    abort\n}\n`;
}

const BEGIN = `    let mut w = world::begin();
    let mut paid_in: u64 = 0;
    let mut paid_out: u64 = 0;
    let mut slashed: u64 = 0;
`;

const COLLECT = '    slashed = slashed + w.collect(world::treasury()) + w.collect(world::treasury_2());\n';

/**
 * What must hold after a call: of the record it was given (it cannot reach another one), of its tokens and proposals, of
 * the whole cluster, and of all coins together.
 */
function comparison(model: Model, r: StakeRecord | undefined): string {
  const lines: string[] = [];
  if (r) {
    const token = r.token ? `option::some(object::id(&${r.token.name}))` : 'option::none()';
    lines.push(
      `record(&${r.name}, ${r.balance}, ${STATUS[r.status]}, ${r.unlock}, ${r.hold}, ${r.slashed}, ${r.tokenSequence}, ${r.open.length}, ${token}, ${r.lastSequence});`,
    );
  }
  for (const t of model.tokens) {
    if (t.deleted) continue;
    lines.push(`assert!(w.is_valid(&${t.record.name}, &${t.name}) == ${model.isValid(t)});`);
    const permissions = t.permissions.map((permission) => `b"${permission}"`).join(', ');
    lines.push(`assert!(${t.name}.permissions() == &world::words(vector[${permissions}]));`);
  }
  for (const p of model.proposals) {
    if (p.record === r) lines.push(`assert!(${p.name}.status() == ${PROPOSAL_STATUS[p.status]});`);
  }
  const named = NODES.map((node) => optional(model.holder(node)));
  lines.push(`names(&w, ${named.join(', ')});`);
  for (const { name, entries, dropped } of Object.values(model.rings).flatMap((rings) =>
    Object.values(rings),
  )) {
    const ids = entries.map((entry) => `object::id(&${entry.record.name})`).join(', ');
    const sequences = entries.map((entry) => entry.sequence).join(', ');
    lines.push(`ring(${name}, vector[${ids}], vector[${sequences}], ${dropped});`);
  }
  lines.push(`assert!(w.cluster().change_seq() == ${model.sequence});`);
  const p = model.inForce();
  const slashers = p.slashers.map((slasher) => `world::${slasher}()`).join(', ');
  lines.push(
    `in_force(&w, ${p.minimum}, ${p.unbonding}, ${p.threshold}, vector[${slashers}], world::${p.treasury}());`,
  );
  // Coins: what is staked, what the treasuries got and what was paid out is what was paid in.
  const staked = ['0', ...model.records.map((r) => `${r.name}.balance_mist()`)].join(' + ');
  lines.push(`assert!(${staked} + slashed + paid_out == paid_in);`);
  lines.push(`assert!(paid_in == ${model.paidIn});`);
  return lines.map((line) => `    ${line}\n`).join('');
}

/** The record that a call was given; the newest if it was given none. */
function recordIn(model: Model, { code }: Call): StakeRecord | undefined {
  const name = /&mut (r\d+)/.exec(code)?.[1];
  return model.records.find((record) => record.name === name) ?? model.records.at(-1);
}

function optional(record: StakeRecord | undefined): string {
  return record ? `option::some(object::id(&${record.name}))` : 'option::none()';
}

function ending(model: Model): string {
  const lines = [
    ...model.records.map((record) => `world::put(${record.name});`),
    ...model.proposals.map((proposal) => `world::put_proposal(${proposal.name});`),
    ...model.tokens
      .filter((token) => !token.deleted)
      .map((token) => `world::put_token(world::${token.record.staker}(), ${token.name});`),
    'w.end();',
  ];
  return lines.map((line) => `    ${line}\n`).join('');
}

/** Some call, sensible or not; often enough one that goes through. */
function anyCall(random: Random, model: Model): Call {
  const record = random.maybe(model.records);
  const sender = random.chance(0.85) && record ? record.staker : random.one(STAKERS);
  const slasher = random.chance(0.9) ? random.one(SLASHERS) : random.one(STAKERS);
  const admin = random.chance(0.9) ? 'admin' : random.one(STAKERS);
  const choice = random.below(100);
  if (!record || choice < 12) return stake(random, model);
  if (choice < 22) return model.mint(sender, record, random.one(ASKED));
  if (choice < 30) return model.topUp(sender, record, random.one([9, 10, 500, 5_000]));
  if (choice < 37) return model.unstake(sender, record, false);
  if (choice < 40) return model.unstake(admin, record, true);
  if (choice < 48) return model.withdraw(sender, record);
  if (choice < 60) {
    const part = random.one([0, 1, record.balance, record.balance + 1, Math.floor(record.balance / 2)]);
    return model.propose(slasher, record, part);
  }
  if (choice < 63) return reservation(random, model, admin);
  if (choice < 64) return model.settle(sender);
  if (choice < 86) return withExisting(random, model, slasher, sender, record) ?? wait(random, model);
  if (choice < 92) return wait(random, model);
  if (choice < 96) return schedule(random, model, admin);
  if (choice < 97) return model.acceptTreasury(random.one(['treasury_2', 'treasury', 'mallory']));
  if (choice < 98) return model.removeSlasher(admin, random.one([...SLASHERS, 'mallory']));
  return model.raiseThreshold(admin, random.one([1, 2, 3, 4]));
}

function stake(random: Random, model: Model): Call {
  const staker = random.one(STAKERS);
  const type = random.one(['node', 'node', 'user', 'admin'] as const);
  const amounts = { node: [999, 1_000, 2_500], user: [99, 100, 1_500], admin: [9_999, 10_000, 15_000] };
  return model.stake(staker, type, random.one(amounts[type]), random.one(NODES));
}

function reservation(random: Random, model: Model, admin: string): Call {
  const node = random.one(NODES);
  return random.chance(0.4) ? model.unreserve(admin, node) : model.reserve(admin, node, random.one(STAKERS));
}

/** A call on a proposal or a token, if there is one. */
function withExisting(
  random: Random,
  model: Model,
  slasher: string,
  sender: string,
  record: StakeRecord,
): Call | undefined {
  const open = model.proposals.filter((proposal) => proposal.status === 'open');
  const proposal: Proposal | undefined = random.maybe(random.chance(0.8) ? open : model.proposals);
  const tokens = model.tokens.filter((token) => !token.deleted);
  const token = record.token ?? random.maybe(tokens);
  const kind = random.below(16);
  if (kind < 3) return proposal && model.vote(slasher, proposal, true);
  if (kind < 6) return proposal && model.vote(slasher, proposal, false);
  if (kind < 8) return proposal && model.execute(random.one(STAKERS), proposal);
  if (kind < 9) return proposal && model.retract(random.maybe(proposal.votes) ?? slasher, proposal);
  if (kind < 10) return proposal && model.cancel(random.chance(0.7) ? proposal.proposer : slasher, proposal);
  if (kind < 11) return proposal && model.answer(random.one(STAKERS), proposal);
  if (kind < 13) return proposal && model.expire(random.one(STAKERS), proposal);
  if (!token) return undefined;
  const home = random.chance(0.9) ? token.record : record;
  // Only its owner can name a token in a transaction.
  if (kind < 15) return model.rotate(random.chance(0.9) ? home.staker : sender, token, home);
  return model.revoke(token, home);
}

function wait(random: Random, model: Model): Call {
  const { unbonding, life } = model.inForce();
  if (random.chance(0.1)) return model.waitEpochs(random.one([1, 60]));
  return model.wait(random.one([1, life - 1, life, unbonding - 1, unbonding, unbonding + 86_400_000]));
}

function schedule(random: Random, model: Model, sender: string): Call {
  const unbonding = random.one([60_000, 400_000, 4_000_000]);
  const tiers = random.one([DEFAULTS.tiers, DEFAULTS.tiers, [150, 1_000, 12_000] as const]);
  const slashers = random.one([SLASHERS, ['s1', 's2'], ['s2', 's3', 'mallory']]);
  const parameters: Parameters = {
    ...DEFAULTS,
    minimum: random.one([1_000, 2_000]),
    tiers,
    unbonding,
    life: unbonding / 4,
    tokenEpochs: random.one([50, 100]),
    slashers,
    threshold: random.one([1, 2]),
    treasury: random.one(['treasury', 'treasury', 'treasury_2']),
  };
  const list = slashers.map((slasher) => `world::${slasher}()`).join(', ');
  const draft = `world::draft().with_minimum(${parameters.minimum}).with_tiers(vector[${tiers.join(', ')}]).with_unbonding(${unbonding}).with_life(${parameters.life}).with_token_epochs(${parameters.tokenEpochs}).with_slashers(vector[${list}]).with_threshold(${parameters.threshold}).with_treasury(world::${parameters.treasury}())`;
  return model.schedule(sender, parameters, draft);
}

/** Numbers from a seed (mulberry32). */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  maybe<T>(list: readonly T[]): T | undefined {
    return list[this.below(list.length)];
  }

  one<T>(list: readonly [T, ...T[]] | readonly T[]): T {
    const picked = this.maybe(list);
    if (picked === undefined) throw new Error('nothing to choose from');
    return picked;
  }
}
