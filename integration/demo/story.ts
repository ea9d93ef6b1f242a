import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import { KubernetesApi } from '../world/kubernetes.ts';
import type { Line, Program } from '../world/program.ts';
import { STAND_IN_EVIDENCE, STAND_IN_MEASUREMENT } from '../world/stand-in-tee.ts';
import { SUI, type Worker, World } from '../world/world.ts';
import type { WorldOptions } from '../world/world-parts.ts';
import { type Attesting, addImpostor, refusalShown } from './attesting.ts';
import type { Reporter } from './reporter.ts';

const STAKE_MIST = 2n * SUI;

/** Runs the demo of the README. Returns the exit code: 0 only if all of it happened. */
interface DemoOptions {
  readonly keep: boolean;
  /** Gateways show evidence of a stand-in, and workers ask for it. */
  readonly isAttesting: boolean;
}

export async function runDemo(reporter: Reporter, { keep, isAttesting }: DemoOptions): Promise<number> {
  let world: World | undefined;
  const interrupt = new AbortController();
  const interrupted = Promise.withResolvers<NodeJS.Signals>();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      // A second Ctrl-C ends at once, as everywhere, and leaves nothing behind.
      if (interrupt.signal.aborted) {
        world?.kill();
        process.exit(exitCodeOf(signal));
      }
      interrupt.abort(new Error(`interrupted by ${signal}`));
      interrupted.resolve(signal);
    });
  try {
    const started = await startWorld(reporter, interrupt.signal, isAttesting);
    world = started;
    const ending = await Promise.race([story(started, reporter, isAttesting), interrupted.promise]);
    if (ending !== undefined) return exitCodeOf(ending);
    if (keep) {
      reportConnections(started, reporter);
      await interrupted.promise;
    }
    return 0;
  } catch (error) {
    if (interrupt.signal.aborted) return exitCodeOf(await interrupted.promise);
    reporter.failed(error);
    return 1;
  } finally {
    if (world) {
      if (!reporter.isJson) reporter.say('putting everything away …');
      const { directory } = world;
      // World.close has deadlines of its own; this one is behind them all.
      const overdue = setTimeout(() => {
        reporter.failed(new Error(`not everything of ${directory} could be put away`));
        process.exit(1);
      }, 90_000).unref();
      await world.close();
      clearTimeout(overdue);
    }
  }
}

const exitCodeOf = (signal: NodeJS.Signals) => 128 + constants.signals[signal];

async function startWorld(reporter: Reporter, signal: AbortSignal, isAttesting: boolean): Promise<World> {
  reporter.chapter('A world');
  const binary = process.env.K3S_BIN;
  const sentences: Record<string, (facts: Record<string, unknown>) => string> = {
    'chain.ready': ({ url }) => `dev chain at ${String(url)}, contracts published, cluster object created`,
    'cluster.ready': ({ server }) =>
      `k3s server at ${String(server)}${binary ? '' : ' (a stand-in: it runs no containers)'}`,
    'gateway.ready': ({ url }) => `Nautilus gateway at ${String(url)}, its key pinned on chain`,
  };
  const options: WorldOptions = {
    signal,
    ...(isAttesting && {
      gateway: STAND_IN_EVIDENCE,
      attestation: { kind: 'sev-snp', measurement: STAND_IN_MEASUREMENT },
    }),
    onReady: (event, facts) =>
      reporter.happened({ event, facts, sentence: sentences[event]?.({ ...facts }) ?? event }),
    ...(binary ? { startK3s: (await import('../world/real-k3s.ts')).startRealK3s(binary) } : {}),
  };
  return World.start(options);
}

async function story(world: World, reporter: Reporter, isAttesting: boolean): Promise<void> {
  const attesting = isAttesting ? await addImpostor(world, reporter) : undefined;
  reporter.chapter('Two workers stake, prove and join');
  const workers = [
    await world.worker('worker-1', { stakeMist: STAKE_MIST, config: attesting?.config ?? {} }),
    await world.worker('worker-2', { stakeMist: STAKE_MIST, config: attesting?.config ?? {} }),
  ];
  const joined = await Promise.all(
    workers.map((worker) => joinCluster(world, worker, { reporter, attesting })),
  );
  const [first, second] = joined;
  if (!first || !second) throw new Error('two workers were to join');

  reporter.chapter('worker-1 misbehaves: both slashers vote');
  // What a thief, or the worker itself, would keep.
  const stolen = await readCertificate(first.worker);
  const reason = 'two heads signed at one height';
  const slashed = await world.slash(first.recordId, STAKE_MIST, reason);
  reporter.happened({
    event: 'stake.slashed',
    worker: 'worker-1',
    facts: { recordId: first.recordId, digest: slashed.digest, proposalId: slashed.proposalId, reason },
    sentence: `slashed by ${slashed.votes} of ${slashed.threshold} votes: ${sui(STAKE_MIST)} go to the treasury`,
  });

  const [stopped, exit] = await Promise.all([first.program.event('agent.stopped'), first.program.exited]);
  if (exit.code !== 77)
    throw new Error(`the slashed host ended with ${exit.code ?? exit.signal}, not with 77`);
  const survivors = [Number(stopped.pid), ...(stopped.killedPids as number[])].filter(isRunning);
  if (survivors.length > 0)
    throw new Error(`processes of the slashed agent live on: ${survivors.join(', ')}`);
  reporter.happened({
    event: 'agent.stopped',
    worker: 'worker-1',
    facts: { pid: stopped.pid, killedPids: stopped.killedPids, exitCode: exit.code },
    sentence: `its host stopped the agent and ${(stopped.killedPids as number[]).length} processes of its pods, and ended with exit code 77`,
  });
  await world.nodeGone('worker-1');
  reporter.happened({
    event: 'node.removed',
    worker: 'worker-1',
    facts: { nodeUid: first.nodeUid, name: 'worker-1' },
    sentence: 'its Node is out of the cluster',
  });

  reporter.chapter('It tries to come back');
  const again = first.worker.start();
  const refused = await again.exited;
  const latched = again.lines.find((line) => line.event === 'host.ended');
  const { code } = (latched as unknown as { error: { code: string } }).error;
  if (refused.code !== 77)
    throw new Error(`the restarted host ended with ${refused.code ?? refused.signal}, not with 77`);
  const recreated = await recreateNode(world, stolen, 'worker-1');
  if (recreated < 400) throw new Error(`the old certificate brought its Node back (HTTP ${recreated})`);
  if (await world.node('worker-1')) throw new Error('the Node is back');
  reporter.happened({
    event: 'rejoin.refused',
    worker: 'worker-1',
    facts: { exitCode: refused.code, code, certificateStatus: recreated },
    sentence: `refused: the restarted host ends with exit code 77 (${code}), its old certificate gets HTTP ${recreated}`,
  });

  await checkUndisturbed(world, second, reporter);
  reporter.closing([
    ['what', 'worker-1', 'worker-2'],
    ['stake record', shortId(first.recordId), shortId(second.recordId)],
    ['Ready after its start', seconds(first.readyAfterMs), seconds(second.readyAfterMs)],
    ['slash to agent gone', since(reporter, 'agent.stopped'), '-'],
    ['slash to Node gone', since(reporter, 'node.removed'), '-'],
    ['now', 'locked out (exit 77)', 'Ready, never noticed'],
  ]);
}

interface Joined {
  readonly worker: Worker;
  readonly program: Program;
  readonly recordId: string;
  readonly agentPid: number;
  readonly nodeUid: string;
  readonly readyAfterMs: number;
}

interface Showing {
  readonly reporter: Reporter;
  readonly attesting: Attesting | undefined;
}

async function joinCluster(world: World, worker: Worker, { reporter, attesting }: Showing): Promise<Joined> {
  const startedAtMs = performance.now();
  const program = worker.start();
  const { nodeId } = worker;
  const say = (event: string, facts: Record<string, unknown>, sentence: string) =>
    reporter.happened({ event, worker: nodeId, facts, sentence });

  if (attesting) await refusalShown(program, attesting, say);
  const stake = await program.event('stake.created');
  say(
    'stake.created',
    pick(stake, 'recordId', 'digest', 'stakeMist'),
    `staked ${sui(STAKE_MIST)}: record ${shortId(String(stake.recordId))}`,
  );
  const seal = await program.event('seal.minted');
  say(
    'seal.minted',
    pick(seal, 'tokenId', 'recordId', 'digest'),
    `minted its Seal token ${shortId(String(seal.tokenId))}`,
  );
  const registered = await program.event('worker.registered');
  say(
    'worker.registered',
    pick(registered, 'incarnation', 'gatewayId', 'gatewayUrl'),
    `registered with the gateway (incarnation ${String(registered.incarnation)}), got a join credential`,
  );
  const ready = await program.event('agent.ready');
  const { uid } = await world.nodeReady(nodeId);
  const readyAfterMs = Math.round(performance.now() - startedAtMs);
  say(
    'worker.ready',
    { nodeUid: uid, pid: ready.pid, hostPid: program.pid },
    `Node is Ready, agent pid ${String(ready.pid)}`,
  );
  const beat = await program.event('heartbeat.acknowledged');
  say('heartbeat.acknowledged', pick(beat, 'sequence', 'directives'), 'heartbeat acknowledged');
  return {
    worker,
    program,
    recordId: String(stake.recordId),
    agentPid: Number(ready.pid),
    nodeUid: uid,
    readyAfterMs,
  };
}

/** The other worker: the same process, the same Node, and its heartbeats go on. */
async function checkUndisturbed(
  world: World,
  { program, agentPid, nodeUid }: Joined,
  reporter: Reporter,
): Promise<void> {
  const heartbeats = program.lines.length;
  const beat = await program.event('heartbeat.acknowledged', { from: heartbeats });
  const node = await world.node('worker-2');
  const starts = program.lines.filter((line) => line.event === 'agent.started').length;
  if (!isRunning(agentPid) || starts !== 1 || node?.uid !== nodeUid || !node.isReady)
    throw new Error('worker-2 was disturbed');
  reporter.happened({
    event: 'worker.undisturbed',
    worker: 'worker-2',
    facts: { pid: agentPid, nodeUid, sequence: beat.sequence },
    sentence: `never noticed: the same agent (pid ${agentPid}), heartbeat ${String(beat.sequence)}`,
  });
}

interface Certificate {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

async function readCertificate({ dataDir }: Worker): Promise<Certificate> {
  const file = (name: string) => readFile(join(dataDir, 'agent', name), 'utf8');
  const [cert, key, ca] = await Promise.all([
    file('client-kubelet.crt'),
    file('client-kubelet.key'),
    file('server-ca.crt'),
  ]);
  return { cert, key, ca };
}

/** What a thief would do: create the Node by hand, straight at the server. Returns the HTTP status. */
async function recreateNode({ k3s }: World, certificate: Certificate, name: string): Promise<number> {
  using api = new KubernetesApi({ server: k3s.server, ...certificate });
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name }, spec: { taints: [] } };
  return (await api.send('POST', '/api/v1/nodes', node)).status;
}

function reportConnections(world: World, reporter: Reporter): void {
  const { chainId, packageId, clusterId } = world.chain.deployment;
  const facts = {
    chainUrl: world.chain.url,
    chainId,
    packageId,
    clusterId,
    gatewayUrl: world.gatewayUrl,
    gatewayId: world.gatewayId,
    gatewayCaFile: world.gatewayCaFile,
    kubeconfig: world.k3s.kubeconfig,
    directory: world.directory,
  };
  reporter.happened({ event: 'world.kept', facts });
  reporter.chapter('The world stays until Ctrl-C');
  reporter.closing(Object.entries(facts));
}

function pick(line: Line, ...names: string[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, line[name]]));
}

/** A zombie has ended: whoever should wait for it is just not there yet. */
function isRunning(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

const shortId = (id: string) => `${id.slice(0, 6)}…${id.slice(-4)}`;
const sui = (mist: bigint) => `${Number(mist) / Number(SUI)} SUI`;
const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

function since(reporter: Reporter, event: string): string {
  const [from, to] = [reporter.atMs('stake.slashed'), reporter.atMs(event)];
  return from === undefined || to === undefined ? '-' : seconds(to - from);
}
