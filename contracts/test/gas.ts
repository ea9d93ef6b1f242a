// What each call costs on the dev chain, in MIST, on an empty cluster and on one that is as large as it gets:
//   node --conditions=source contracts/test/gas.ts
// Net cost = computation + storage - rebate; a minus comes back. docs/contracts.md has the table.
import { bcs } from '@mysten/sui/bcs';
import type { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { Transaction, type TransactionArgument, type TransactionResult } from '@mysten/sui/transactions';
import { readInterface } from './interface.ts';
import { actorKey } from './scenario.ts';
import { openStage } from './stage.ts';

const UNBONDING_MS = 600_000;
const KEY = new Uint8Array(32).fill(1);
const HASH = new Uint8Array(32).fill(2);
/** The first cut of the contracts shares by itself and knows neither terms nor evidence: to compare with it. */
const isFirstCut = !readInterface().functions.has('staking::share');

const admin = actorKey('admin');
const alice = actorKey('alice');
const [slasher, second] = [actorKey('slasher1'), actorKey('slasher2')];
await using stage = await openStage();
const { client, packageId } = stage;
// One coin each: several would be merged, and their deposits come back.
for (const key of [admin, alice, slasher, second]) await stage.fund(key.toSuiAddress(), 4_000_000_000_000n);
let nowMs = 1_000;
let names = 0;
/** The version of the terms, as the last scheduled change has left it. */
let terms = 1;

type Costs = Map<string, bigint>;
const [empty, full] = [new Map<string, bigint>(), new Map<string, bigint>()] as [Costs, Costs];
// --- what is measured ---

async function measureAll(cluster: string, costs: Costs): Promise<void> {
  const on = { cluster, costs };
  const record = await stake(on, 'stake_for_node', 'node');
  const token = await mint(on, 'mint, worker', record, 'node');
  if (!isFirstCut) await join(on);
  const rotated = await created(on, 'rotate', alice, 'SealToken', (tx) => {
    call(tx, 'k8s_gateway::rotate_seal_token', [
      obj(tx, cluster),
      obj(tx, record),
      obj(tx, token),
      bytes(tx, KEY),
      tx.object.clock(),
    ]);
  });
  await run(on, 'top_up', alice, (tx) => {
    call(tx, 'staking::top_up', [
      obj(tx, cluster),
      obj(tx, record),
      coin(tx, 10),
      ...(isFirstCut ? [] : [tx.pure.u64(terms)]),
      tx.object.clock(),
    ]);
  });
  const short = await propose(on, 'propose, reason 64 B', slasher, record, 64);
  const long = await propose(on, 'propose, reason 256 B', second, record, 256);
  await run(on, 'vote that slashes in part', second, (tx) => {
    vote(tx, cluster, record, short);
    if (!isFirstCut) execute(tx, cluster, record, short);
  });
  if (!isFirstCut) await secondCut(on, record, long);
  advance(60_001);
  await stage.setTime({ atMs: nowMs, epoch: 0 });
  await run(on, 'expire', alice, (tx) => {
    call(tx, 'slashing::expire', [obj(tx, cluster), obj(tx, record), obj(tx, long), tx.object.clock()]);
  });
  await run(on, 'revoke', alice, (tx) => {
    call(tx, 'k8s_gateway::revoke_seal_token', [obj(tx, cluster), obj(tx, record), obj(tx, rotated)]);
  });
  const leaving = await stake({ cluster, costs: new Map() }, '', 'node');
  await mint({ cluster, costs: new Map() }, '', leaving, 'node');
  await run(on, 'request_unstake', alice, (tx) => {
    call(tx, 'staking::request_unstake', [obj(tx, cluster), obj(tx, leaving), tx.object.clock()]);
  });
  const user = await stake(on, 'stake_for_user', 'user');
  await stake(on, 'stake_for_admin', 'admin');
  await mint(on, 'mint, user', user, 'user');
  await run(on, 'force_unstake (user)', admin, (tx) => {
    call(tx, 'staking::force_unstake', [obj(tx, cluster), obj(tx, user), tx.object.clock()]);
  });
  advance(UNBONDING_MS);
  await stage.setTime({ atMs: nowMs, epoch: 0 });
  await run(on, 'withdraw', alice, (tx) => {
    const paid = call(tx, 'staking::withdraw', [obj(tx, cluster), obj(tx, leaving), tx.object.clock()]);
    tx.transferObjects([paid], alice.toSuiAddress());
  });
  if (costs === empty) {
    await gateway(on, 'register_gateway, 1st', 0, false);
    await run(on, 'schedule_parameters, small', admin, (tx) => schedule(tx, cluster, false));
  }
}

/** The calls that the first cut did not have. */
async function secondCut(on: On, record: string, proposal: string): Promise<void> {
  const { cluster } = on;
  await run(on, 'answer', alice, (tx) => {
    call(tx, 'slashing::answer', [
      obj(tx, cluster),
      obj(tx, record),
      obj(tx, proposal),
      bytes(tx, HASH),
      tx.object.clock(),
    ]);
  });
  await run(on, 'retract', second, (tx) => {
    call(tx, 'slashing::retract', [obj(tx, cluster), obj(tx, record), obj(tx, proposal), tx.object.clock()]);
  });
  await run(on, 'vote alone', second, (tx) => vote(tx, cluster, record, proposal));
  const executed = await propose({ cluster, costs: new Map() }, '', slasher, record, 64);
  await run({ cluster, costs: new Map() }, '', second, (tx) => vote(tx, cluster, record, executed));
  await run(on, 'execute alone', alice, (tx) => execute(tx, cluster, record, executed));
  const taken = await propose({ cluster, costs: new Map() }, '', slasher, record, 64);
  await run(on, 'cancel', slasher, (tx) => {
    call(tx, 'slashing::cancel', [obj(tx, cluster), obj(tx, record), obj(tx, taken)]);
  });
  await run(on, 'reserve_node_id', admin, (tx) => {
    call(tx, 'cluster::reserve_node_id', [
      obj(tx, cluster),
      tx.pure.string(nextName()),
      tx.pure.address(alice.toSuiAddress()),
    ]);
  });
}

async function join(on: On): Promise<void> {
  const { cluster } = on;
  await run(on, 'stake_for_node and mint in one', alice, (tx) => {
    const record = stakeCall(tx, cluster, 'node');
    mintCall(tx, cluster, record, 'node');
    call(tx, 'staking::share', [record]);
  });
}

/** Full rings, the largest gateways, the largest parameters pending, four servers. */
async function fill(cluster: string, costs: Costs): Promise<void> {
  const on = { cluster, costs: new Map() };
  const [nodes, accounts] = isFirstCut ? [300, 300] : [280, 70];
  await endMany(on, await stakeMany(on, 'node', nodes), 'node');
  await endMany(on, await stakeMany(on, 'user', accounts), 'user');
  for (let i = 0; i < 31; i += 1) await gateway(on, '', i, true);
  await gateway({ cluster, costs }, 'register_gateway, 32nd', 31, true);
  if (!isFirstCut)
    await run(on, '', admin, (tx) => {
      const servers = [1, 2, 3, 4].map((i) => `https://server-${i}.example.org:6443`);
      call(tx, 'cluster::set_servers', [
        obj(tx, cluster),
        tx.pure.vector('string', servers),
        hashes(tx, [KEY, HASH]),
      ]);
    });
  await run({ cluster, costs }, 'schedule_parameters, largest', admin, (tx) => schedule(tx, cluster, true));
  terms = 2;
}

async function stakeMany(on: On, type: 'node' | 'user', count: number): Promise<string[]> {
  const records: string[] = [];
  while (records.length < count) {
    const made = await run(on, '', alice, (tx) => {
      for (let i = 0; i < 35; i += 1) shared(tx, 'staking', stakeCall(tx, on.cluster, type));
    });
    records.push(...made.filter(({ type: made }) => made.endsWith('::StakeRecord')).map(({ id }) => id));
  }
  return records;
}

/** Half of them by the admin, half by their staker: so both rings are full in the end. */
async function endMany(on: On, records: readonly string[], _type: string): Promise<void> {
  for (let from = 0; from < records.length; from += 35) {
    const batch = records.slice(from, from + 35);
    const isForced = from < records.length / 2;
    await run(on, '', isForced ? admin : alice, (tx) => {
      for (const record of batch)
        call(tx, `staking::${isForced ? 'force_unstake' : 'request_unstake'}`, [
          obj(tx, on.cluster),
          obj(tx, record),
          tx.object.clock(),
        ]);
    });
  }
}

// --- the calls ---

interface On {
  readonly cluster: string;
  readonly costs: Costs;
}

async function newCluster(costs: Costs): Promise<string> {
  terms = 1;
  return created({ cluster: '', costs }, 'create_cluster', admin, 'Cluster', (tx) => {
    shared(tx, 'cluster', call(tx, 'cluster::create_cluster', [parameters(tx, false)]));
  });
}

function parameters(tx: Transaction, isLargest: boolean): TransactionArgument {
  const slashers = isLargest ? Array.from({ length: 16 }, (_, i) => actorKey(`s${i}`).toSuiAddress()) : [];
  const long = (tier: number) =>
    Array.from({ length: 16 }, (_, i) => `${'r'.repeat(55)}${String.fromCharCode(97 + tier, 97 + i)}:write`);
  const permissions = isLargest
    ? [long(0), ['nodes:write', ...long(1).slice(1)], long(2)]
    : [['pods:read', 'services:read'], ['nodes:write', 'pods:write'], ['*:*']];
  return call(tx, 'cluster::new_parameters', [
    tx.pure.u64(1_000),
    tx.pure.u64(10),
    tx.pure.vector('u64', [100, 1_000, 10_000]),
    tx.pure(bcs.vector(bcs.vector(bcs.string())).serialize(permissions)),
    ...[UNBONDING_MS, 100].map((value) => tx.pure.u64(value)),
    tx.pure.vector('address', [slasher.toSuiAddress(), second.toSuiAddress(), ...slashers.slice(2)]),
    ...[2, 60_000].map((value) => tx.pure.u64(value)),
    ...(isFirstCut ? [] : [tx.pure.u64(0)]),
    tx.pure.address(actorKey('treasury').toSuiAddress()),
  ]);
}

function schedule(tx: Transaction, cluster: string, isLargest: boolean): void {
  call(tx, 'cluster::schedule_parameters', [obj(tx, cluster), parameters(tx, isLargest), tx.object.clock()]);
}

function stakeCall(tx: Transaction, cluster: string, type: 'node' | 'user' | 'admin'): TransactionResult {
  return call(tx, `staking::stake_for_${type}`, [
    obj(tx, cluster),
    coin(tx, type === 'admin' ? 20_000 : 2_000),
    ...(type === 'node' ? [tx.pure.string(nextName())] : []),
    ...(isFirstCut ? [] : [tx.pure.u64(terms)]),
    tx.object.clock(),
  ]);
}

const stake = (on: On, name: string, type: 'node' | 'user' | 'admin') =>
  created(on, name, alice, 'StakeRecord', (tx) => shared(tx, 'staking', stakeCall(tx, on.cluster, type)));

function mintCall(
  tx: Transaction,
  cluster: string,
  record: TransactionArgument,
  type: 'node' | 'user',
): void {
  call(tx, `k8s_gateway::create_${type === 'node' ? 'worker_' : ''}seal_token`, [
    obj(tx, cluster),
    record,
    ...(type === 'node' ? [] : [tx.pure.vector('string', ['pods:read'])]),
    bytes(tx, KEY),
    tx.object.clock(),
  ]);
}

const mint = (on: On, name: string, record: string, type: 'node' | 'user') =>
  created(on, name, alice, 'SealToken', (tx) => mintCall(tx, on.cluster, obj(tx, record), type));

const propose = (on: On, name: string, by: Ed25519Keypair, record: string, reason: number) =>
  created(on, name, by, 'SlashProposal', (tx) => {
    const evidence = isFirstCut ? [] : [bytes(tx, HASH)];
    const args = [obj(tx, on.cluster), obj(tx, record), tx.pure.u64(100), tx.pure.string('x'.repeat(reason))];
    shared(tx, 'slashing', call(tx, 'slashing::propose', [...args, ...evidence, tx.object.clock()]));
  });

function vote(tx: Transaction, cluster: string, record: string, proposal: string): void {
  call(tx, 'slashing::vote', [obj(tx, cluster), obj(tx, record), obj(tx, proposal), tx.object.clock()]);
}

function execute(tx: Transaction, cluster: string, record: string, proposal: string): void {
  call(tx, 'slashing::execute', [obj(tx, cluster), obj(tx, record), obj(tx, proposal), tx.object.clock()]);
}

const gateway = (on: On, name: string, number: number, isLarge: boolean) =>
  run(on, name, admin, (tx) => {
    const url = `https://gateway-${String(number).padStart(2, '0')}.example.org:8443`;
    call(tx, 'cluster::register_gateway', [
      obj(tx, on.cluster),
      tx.pure.string(isLarge ? url.padEnd(256, '/') : url),
      hashes(tx, isLarge ? [KEY, HASH] : [KEY]),
      tx.pure.string(isLarge ? 'x'.repeat(32) : 'none'),
      bytes(tx, new Uint8Array(isLarge ? 128 : 0)),
      bytes(tx, new Uint8Array(32).fill(number + 10)),
      tx.pure.u8(0),
    ]);
  });

// --- transactions ---

function call(tx: Transaction, target: string, args: TransactionArgument[]): TransactionResult {
  return tx.moveCall({ target: `${packageId}::${target}`, arguments: args });
}

function shared(tx: Transaction, module: string, made: TransactionResult): void {
  if (!isFirstCut) call(tx, `${module}::share`, [made]);
}

function obj(tx: Transaction, id: string): TransactionArgument {
  return tx.object(id);
}

function bytes(tx: Transaction, value: Uint8Array): TransactionArgument {
  return tx.pure.vector('u8', value);
}

function hashes(tx: Transaction, values: readonly Uint8Array[]): TransactionArgument {
  return tx.pure(bcs.vector(bcs.byteVector()).serialize([...values]));
}

function coin(tx: Transaction, mist: number): TransactionArgument {
  return tx.splitCoins(tx.gas, [mist])[0] as TransactionArgument;
}

function nextName(): string {
  names += 1;
  return `worker-${String(names).padStart(4, '0')}`;
}

function advance(ms: number): void {
  nowMs += ms;
}

async function created(
  on: On,
  name: string,
  by: Ed25519Keypair,
  type: string,
  build: (tx: Transaction) => void,
): Promise<string> {
  const found = (await run(on, name, by, build)).find((made) => made.type.endsWith(`::${type}`));
  if (!found) throw new Error(`no ${type} was made`);
  return found.id;
}

async function run(
  { costs }: On,
  name: string,
  signer: Ed25519Keypair,
  build: (tx: Transaction) => void,
): Promise<Array<{ id: string; type: string }>> {
  await stage.setTime({ atMs: nowMs, epoch: 0 });
  const transaction = new Transaction();
  transaction.setSender(signer.toSuiAddress());
  build(transaction);
  const executed = await client.signAndExecuteTransaction({
    transaction,
    signer,
    include: { effects: true, objectTypes: true },
  });
  if (executed.$kind === 'FailedTransaction')
    throw new Error(`${name}: ${JSON.stringify(executed.FailedTransaction.status)}`);
  const { digest, effects, objectTypes } = executed.Transaction;
  await client.waitForTransaction({ digest });
  const { computationCost, storageCost, storageRebate } = effects?.gasUsed ?? {
    computationCost: 0,
    storageCost: 0,
    storageRebate: 0,
  };
  if (name !== '') costs.set(name, BigInt(computationCost) + BigInt(storageCost) - BigInt(storageRebate));
  return (effects?.changedObjects ?? [])
    .filter(({ idOperation }) => idOperation === 'Created')
    .map(({ objectId }) => ({ id: objectId, type: objectTypes[objectId] ?? '' }));
}

// At the end, when all of the above is there.
const small = await newCluster(empty);
await measureAll(small, empty);
const large = await newCluster(new Map());
await fill(large, full);
await measureAll(large, full);
const rows = [...new Set([...empty.keys(), ...full.keys()])].map((name) => [
  name,
  empty.get(name),
  full.get(name),
]);
const show = (mist: bigint | number | string | undefined) =>
  mist === undefined ? '' : String(mist).replaceAll(/\B(?=(\d{3})+(?!\d))/g, ' ');
console.log('| call | net, empty | net, full |\n|---|---|---|');
for (const [name, ...costs] of rows) console.log(`| ${name} | ${costs.map(show).join(' | ')} |`);
