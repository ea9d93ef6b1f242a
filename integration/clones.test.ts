import { randomUUID } from 'node:crypto';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from './world/kubernetes.ts';
import type { KnownGateway } from './world/outsider.ts';
import type { Program } from './world/program.ts';
import { makeSeenMachine, reboot, type SeenMachine } from './world/seen-machine.ts';
import { heartbeatFrom, registerFrom, thiefOf } from './world/thief.ts';
import { type Worker, World } from './world/world.ts';

/** Two that use one node key, with real hosts on machines and boots of their own, and a real gateway. */
const isRoot = process.getuid?.() === 0;
const heartbeatIntervalMs = 300;
let world: World;
let gateway: KnownGateway;
beforeAll(async () => {
  world = await World.start({ heartbeatIntervalMs, gateway: { limits: { tokenRate: 50, tokenBurst: 200 } } });
  const ca = await readFile(world.gatewayCaFile, 'utf8');
  // The thief's own address: what the gateway allows an address, the node and its thief would share.
  gateway = { url: world.gatewayUrl, id: world.gatewayId, ca, localAddress: '127.0.0.9' };
});
afterAll(() => world?.close());

interface Running {
  readonly worker: Worker;
  readonly machine: SeenMachine;
  readonly host: Program;
  readonly agentPid: number;
  readonly uid: string;
}

async function running(nodeId: string, bootId = randomUUID()): Promise<Running> {
  const machine = await makeSeenMachine(world.directory, { machineId: `machine-of-${nodeId}`, bootId });
  const worker = await world.worker(nodeId, { machine });
  const host = worker.start();
  const { pid } = await host.event('agent.ready', { withinMs: 110_000 });
  await host.event('certificates.vouched');
  const { uid } = await world.nodeReady(nodeId);
  return { worker, machine, host, agentPid: Number(pid), uid };
}

const isCloneNotice = (line: { event?: unknown; kind?: unknown }) =>
  line.event === 'attention.needed' && line.kind === 'clone_suspected';

/** Both name the clone. That it takes two heartbeats at most is counted where heartbeats are: src/gateway/clones-named.test.ts. */
async function expectNamed(...sides: readonly Program[]): Promise<void> {
  await Promise.all(sides.map((program) => program.line('the clone', isCloneNotice)));
}

const events = ({ lines }: Program, event: string) => lines.filter((line) => line.event === event);

test.skipIf(!isRoot)(
  'a thief of the node key registers, heartbeats and waits for a reboot: the node is never refused or stopped',
  { timeout: 300_000 },
  async () => {
    const bootId = randomUUID();
    const { worker, machine, host, agentPid, uid } = await running('robbed', bootId);
    const thief = await thiefOf(world, worker);
    // The boot of a Node is public; the machine id is not, and is no help.
    const said = { bid: bootId, run: 'thief' };
    expect((await registerFrom(gateway, thief, said)).status).toBe(200);
    await host.line('the clone', isCloneNotice);
    expect(await registerFrom(gateway, thief, said)).toMatchObject({ status: 409 });
    expect(events(host, 'host.ended')).toEqual([]);

    // The machine reboots: host and agent are gone at once.
    host.kill('SIGKILL');
    process.kill(agentPid, 'SIGKILL');
    await host.exited;
    const thieving = new AbortController();
    const refusals = thieve(thief, said, thieving.signal);
    await reboot(machine, randomUUID());
    const back = worker.start();
    await back.event('worker.registered', { withinMs: 110_000 });
    await back.event('heartbeat.acknowledged');
    await back.event('agent.ready');
    expect(await world.nodeReady('robbed')).toMatchObject({ uid });
    thieving.abort();
    const answers = await refusals;
    expect(events(back, 'registration.failed')).toEqual([]);
    expect(events(back, 'host.ended')).toEqual([]);
    expect(new Set(answers)).toEqual(new Set([409, 429]));
    await back.stop();
  },
);

/** Registers and heartbeats as fast as it is answered, and gives what it was answered. */
async function thieve(
  thief: Awaited<ReturnType<typeof thiefOf>>,
  machine: { bid: string; run: string },
  signal: AbortSignal,
): Promise<number[]> {
  const answers: number[] = [];
  for (let sequence = 1; !signal.aborted; sequence += 1) {
    const beat = { incarnation: 2, sequence, machine };
    for (const ask of [
      () => registerFrom(gateway, thief, machine),
      () => heartbeatFrom(gateway, thief, beat),
    ]) {
      // A connection that is cut is no answer: the gateway has limits for strangers, and is busy.
      const reply = await ask().catch(() => undefined);
      if (reply) answers.push(reply.status);
    }
  }
  return answers;
}

test.skipIf(!isRoot)(
  'a copied state directory on another machine: both sides are told, the copy ends, the node goes on',
  { timeout: 300_000 },
  async () => {
    const { worker, host, uid } = await running('copied');
    const directory = join(world.directory, 'elsewhere');
    const elsewhere = await copyOf(worker, directory, { machineId: 'another', bootId: randomUUID() });
    const copy = elsewhere.start();
    await expectNamed(host, copy);
    expect(await copy.exited).toMatchObject({ code: 77 });
    expect(events(copy, 'host.ended')).toMatchObject([{ error: { code: 'DAAS_NODE_CLONED' } }]);
    await host.event('heartbeat.acknowledged', { from: host.lines.length });
    expect(await world.node('copied')).toEqual({ uid, isReady: true });
    expect(events(host, 'agent.exited')).toEqual([]);
    await host.stop();
  },
);

test.skipIf(!isRoot)(
  'a restored snapshot, the same machine in another boot: both sides are told, the one without the Node ends',
  { timeout: 300_000 },
  async () => {
    const { worker, host, uid } = await running('restored');
    const directory = join(world.directory, 'restored-elsewhere');
    const machineId = 'machine-of-restored';
    const snapshot = await copyOf(worker, directory, { machineId, bootId: randomUUID() });
    const copy = snapshot.start();
    await expectNamed(host, copy);
    await host.event('heartbeat.acknowledged', { from: host.lines.length });
    expect(await world.node('restored')).toEqual({ uid, isReady: true });
    expect(events(host, 'agent.exited')).toEqual([]);
    await copy.stop();
    await host.stop();
  },
);

test.skipIf(!isRoot)(
  'a double start in another container of the same machine and boot: both sides are told, the second ends',
  { timeout: 300_000 },
  async () => {
    const bootId = randomUUID();
    const { worker, host, uid } = await running('doubled', bootId);
    const directory = join(world.directory, 'beside');
    const copied = await copyOf(worker, directory, { machineId: 'machine-of-doubled', bootId });
    // From there the processes of the first cannot be seen.
    await forgetProcesses(join(directory, 'state', 'journal.json'));
    const second = copied.start();
    await expectNamed(host, second);
    expect(await second.exited).toMatchObject({ code: 77 });
    expect(events(second, 'host.ended')).toMatchObject([{ error: { code: 'DAAS_NODE_CLONED' } }]);
    await host.event('heartbeat.acknowledged', { from: host.lines.length });
    expect(await world.node('doubled')).toEqual({ uid, isReady: true });
    expect(events(host, 'agent.exited')).toEqual([]);
    await host.stop();
  },
);

test.skipIf(!isRoot)(
  'a double start that sees the first is refused on the spot, before a gateway hears of it',
  { timeout: 300_000 },
  async () => {
    const bootId = randomUUID();
    const { worker, host, uid } = await running('twice', bootId);
    const directory = join(world.directory, 'twice-beside');
    const from = host.lines.length;
    const second = (await copyOf(worker, directory, { machineId: 'machine-of-twice', bootId })).start();
    expect(await second.exited).toMatchObject({ code: 77 });
    expect(events(second, 'host.ended')).toMatchObject([{ error: { code: 'DAAS_NODE_CLONED' } }]);
    expect(events(second, 'registration.begun')).toEqual([]);
    await host.event('heartbeat.acknowledged', { from: host.lines.length });
    expect(host.lines.slice(from).filter(isCloneNotice)).toEqual([]);
    expect(await world.node('twice')).toEqual({ uid, isReady: true });
    expect(events(host, 'agent.exited')).toEqual([]);
    await host.stop();
  },
);

/** Takes host and agent of an earlier life out of a journal. */
async function forgetProcesses(file: string): Promise<void> {
  const text = JSON.stringify(JSON.parse(await readFile(file, 'utf8')), (key, value) =>
    /^(?:agent\/)?(?:child|host)$/.test(key) && typeof value?.pid === 'number' ? undefined : value,
  );
  await writeFile(file, text);
}

/** The state directory of a worker, without what k3s keeps, on a machine of its own. */
async function copyOf(
  worker: Worker,
  directory: string,
  at: { machineId: string; bootId: string },
): Promise<Worker> {
  await until('the join to be written down', async () =>
    (await readFile(join(worker.stateDir, 'journal.json'), 'utf8')).includes('joined') ? true : undefined,
  );
  await cp(worker.stateDir, join(directory, 'state'), { recursive: true });
  // On the same machine it would refuse the copy, as it refuses a second start of the original.
  await rm(join(directory, 'state', 'host.lock'), { force: true });
  const machine = await makeSeenMachine(directory, at);
  const place = await world.k3s.machine(`${worker.nodeId}-copy`, directory);
  return world.workerOf(worker.nodeId, worker.wallet as never, {
    machine,
    config: {
      stateDir: join(directory, 'state'),
      agent: {
        args: place.args,
        containerdAddress: place.containerdAddress,
        runtimeDir: join(directory, 'run'),
      },
    },
  });
}
