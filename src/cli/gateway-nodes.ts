import type { z } from 'zod';
import { ConfigurationError, displayText } from '#base';
import { formatSui } from '#domain';
import type { NodeEntry, NodesReply } from '#gateway';
import { ageText, durationText } from './gateway-views.ts';
import { table } from './io.ts';

export interface NodeFilter {
  readonly name?: string | undefined;
  readonly state?: string;
  readonly tier?: string;
  readonly all?: boolean;
}

export interface NodesView {
  readonly shown: readonly NodeEntry[];
  /** How many nodes are not shown because they left some time ago. */
  readonly hidden: number;
  readonly text: string;
}

const states = ['admitting', 'joining', 'member', 'held', 'evicting', 'evicted', 'lapsed'];
const tiers = ['basic', 'standard', 'premium', 'untainted'];
const shownAfterLeavingMs = 3_600_000;

/** The requested nodes as text: those that left long ago are one line. */
export function nodesView(reply: z.infer<typeof NodesReply>, filter: NodeFilter): NodesView {
  const { timestamp, nodes } = reply;
  const { name, state, tier, all } = filter;
  oneOf('--state', state, states);
  oneOf('--tier', tier, tiers);
  const matching = nodes.filter(
    (node) =>
      (name === undefined || isNamed(node, name)) &&
      (state === undefined || node.status === state || (state === 'held' && node.held_for !== null)) &&
      (tier === undefined || node.tier === tier),
  );
  const isFolded = (node: NodeEntry) =>
    !all && name === undefined && state === undefined && hasLeftLongAgo(node, timestamp);
  const shown = matching.filter((node) => !isFolded(node));
  const hidden = matching.length - shown.length;
  const [only] = shown;
  const text =
    only && shown.length === 1 && only.node_id === name
      ? nodeText(only, timestamp)
      : [
          listText(shown, hidden, { timestamp, isFiltered: matching.length < nodes.length }),
          ...gatewayLines(reply),
          ...chainLines(reply),
        ].join('\n');
  return { shown, hidden, text };
}

function oneOf(flag: string, value: string | undefined, known: readonly string[]): void {
  if (value === undefined || known.includes(value)) return;
  throw new ConfigurationError(
    'DAAS_COMMAND_LINE_INVALID',
    `${flag}: '${value}' is none of ${known.join(', ')}`,
  );
}

function isNamed({ node_id: nodeId }: NodeEntry, name: string): boolean {
  return name.endsWith('*') ? nodeId.startsWith(name.slice(0, -1)) : nodeId === name;
}

function hasLeftLongAgo({ status, since }: NodeEntry, nowMs: number): boolean {
  return (status === 'evicted' || status === 'lapsed') && nowMs - since > shownAfterLeavingMs;
}

function listText(
  shown: readonly NodeEntry[],
  hidden: number,
  { timestamp, isFiltered }: { readonly timestamp: number; readonly isFiltered: boolean },
): string {
  const heading = [
    'NODE',
    'STATE',
    'SINCE',
    'STAKE',
    'TIER',
    'READY',
    'HEARTBEAT',
    'PODS',
    'HOST',
    'ADDRESS',
  ];
  const lines: string[] = [];
  if (shown.length > 0) {
    const rows = [heading, ...shown.map((node) => nodeRow(node, timestamp))];
    // Where no evidence is asked for, there is nothing to show.
    const isAsked = shown.some(({ attestation }) => attestation !== null);
    const evidence = ['EVIDENCE', ...shown.map((node) => node.attestation?.kind ?? '-')];
    lines.push(table(isAsked ? rows.map((row, index) => [...row, evidence[index] ?? '']) : rows));
  } else if (hidden === 0) lines.push(isFiltered ? 'no such nodes' : 'no staked nodes');
  if (hidden > 0) lines.push(`${hidden} left more than an hour ago: --all shows them`);
  return lines.join('\n');
}

/** What the chain says of the gateway that answers. */
function gatewayLines({ gateway }: z.infer<typeof NodesReply>): string[] {
  if (!gateway) return [];
  const { id, tier, attestation_kind: kind } = gateway;
  const shows = kind === 'none' ? 'it need not show what it runs' : `it shows workers what it runs (${kind})`;
  return ['', `gateway ${displayText(id)}: tier ${displayText(tier)}; ${displayText(shows)}`];
}

/** What the list rests on: how new the proven state is, and the full nodes that serve it. */
function chainLines({
  chain_proof: proof,
  chain_probe: probe,
  chain_endpoints: endpoints,
}: z.infer<typeof NodesReply>): string[] {
  const age = proof?.age_ms;
  const proven =
    proof && age !== null && age !== undefined
      ? [
          `chain: the newest proven change is ${durationText(age)} old (cluster version ${proof.cluster_version}); ${proof.endpoints_agreed} of ${endpoints.length} endpoints show nothing newer`,
        ]
      : [];
  const pool = endpoints.map(
    ({ url, state, lag_ms: lagMs, latency_p95_ms: p95Ms, calls, failures, contradiction }) => [
      `  ${displayText(url)}`,
      contradiction === null ? state : `${state}: ${displayText(contradiction)}`,
      `lag ${durationText(lagMs)}`,
      p95Ms === null ? '' : `p95 ${p95Ms} ms`,
      `${failures} of ${calls} calls failed`,
    ],
  );
  const lines = [
    ...proven,
    ...(probe ? probeLines(probe) : []),
    ...(pool.length > 0 ? ['endpoints:', table(pool)] : []),
  ];
  return lines.length > 0 ? ['', ...lines] : [];
}

type Probe = NonNullable<z.infer<typeof NodesReply>['chain_probe']>;

/** When the chain was last probed, and what it costs. */
function probeLines(probe: Probe): string[] {
  const { mode, every_ms: everyMs, age_ms: ageMs, cost_mist: costMist, balance_mist: balanceMist } = probe;
  const purpose = mode === 'off' ? 'anchors' : mode;
  const when = everyMs === null ? `for ${purpose}` : `every ${durationText(everyMs)}`;
  const last = ageMs === null ? 'none has been answered yet' : `the last one was ${durationText(ageMs)} ago`;
  const aDay =
    costMist === null || everyMs === null
      ? ''
      : `, about ${formatSui((BigInt(costMist) * 86_400_000n) / BigInt(everyMs))} a day`;
  const spent = `${probe.sent_today} within 24 hours for ${formatSui(BigInt(probe.spent_today_mist))}${aDay}`;
  const left = balanceMist === null ? [] : [`its wallet has ${formatSui(BigInt(balanceMist))}`];
  return [
    [`probes ${when}: ${last}; ${spent}`, ...left].join('; '),
    ...anchorLines(probe),
    ...(probe.gas_low ? ['  low gas: the wallet of the probes lasts for less than a week'] : []),
    ...(probe.failure === null ? [] : [`  the last probe failed: ${displayText(probe.failure)}`]),
    ...probe.hidden.map((id) => `  no full node shows the newest version of ${displayText(id)}`),
  ];
}

function anchorLines({ anchor }: Probe): string[] {
  if (!anchor) return [];
  const { sequence, age_ms: ageMs, transaction } = anchor;
  if (sequence === null) return ['  nothing of the audit file is anchored on chain yet'];
  return [
    `  line ${sequence} of the audit file was anchored on chain ${durationText(ageMs)} ago: ${displayText(transaction ?? '')}`,
  ];
}

function nodeRow(node: NodeEntry, nowMs: number): string[] {
  return [
    node.node_id,
    stateText(node, nowMs),
    ageText(node.since, nowMs),
    node.fact,
    node.tier,
    node.node ? (node.node.ready ? 'yes' : 'no') : '-',
    node.last_heartbeat === null ? 'never' : ageText(node.last_heartbeat, nowMs),
    node.running_pods === null ? '-' : String(node.running_pods),
    String(node.host.hostname ?? '-'),
    node.use.addresses.join(' ') || '-',
  ];
}

function stateText(node: NodeEntry, nowMs: number): string {
  const marks = [
    node.reason ? `${node.status} (${node.reason})` : node.status,
    ...useMarks(node, nowMs),
    node.banned ? 'banned' : undefined,
    node.locked ? 'locked' : undefined,
    node.cloned_since === null ? undefined : `cloned, found ${ageText(node.cloned_since, nowMs)}`,
    node.held_for === null ? undefined : `held: ${node.held_for}`,
  ];
  return marks.filter((mark) => mark !== undefined).join(', ');
}

/** Signs of two machines with one node key. A host that restarts often shows the same signs. */
function useMarks({ use }: NodeEntry, nowMs: number): string[] {
  const marks: string[] = [];
  const again = use.registrations - 1;
  if (again >= 2 && use.first_registration !== null)
    marks.push(
      `registered again ${again} times in ${durationText(nowMs - use.first_registration)} from ${use.addresses.length} ${use.addresses.length === 1 ? 'address' : 'addresses'}`,
    );
  if (use.superseded_use !== null)
    marks.push(`an earlier registration was used ${ageText(use.superseded_use, nowMs)}`);
  return marks;
}

/** Every detail of one node. */
function nodeText(node: NodeEntry, nowMs: number): string {
  const { stake, use } = node;
  const at = (ms: number) => `${new Date(ms).toISOString()} (${ageText(ms, nowMs)})`;
  const rows: ReadonlyArray<readonly [string, string | undefined]> = [
    ['node', node.node_id],
    ['state', `${stateText(node, nowMs)}, since ${at(node.since)}`],
    ['tier', node.tier],
    ['staker', node.staker],
    ['stake record', node.stake_record],
    ['', stake ? stakeText(stake) : `not read since the gateway started (${node.fact})`],
    ['Seal token', node.seal_token],
    ['', node.fact === 'good' ? 'good' : `does not stand: ${node.fact}`],
    ['node key', node.holder_key],
    ['registration', `number ${node.incarnation}; ${use.registrations} within the last hour`],
    ['addresses', use.addresses.join(', ') || 'none within the last hour'],
    ['heartbeat', node.last_heartbeat === null ? 'never' : at(node.last_heartbeat)],
    ['agent', node.agent_state === null ? 'no heartbeat yet' : `${node.agent_state} at its last heartbeat`],
    ['pods', node.running_pods === null ? undefined : String(node.running_pods)],
    ['Node', node.node ? `${node.node.ready ? 'Ready' : 'not Ready'}, uid ${node.node.uid}` : 'none'],
    ['host', hostText(node) || undefined],
    ['evidence', node.attestation ? evidenceText(node.attestation, at) : undefined],
    ['TPM key', node.attestation?.bound_key ?? undefined],
  ];
  return table(rows.flatMap(([label, value]) => (value === undefined ? [] : [[label, value]])));
}

function stakeText(stake: NonNullable<NodeEntry['stake']>): string {
  if (stake.slashed_mist === '0') return `${stake.status}, ${stake.stake_mist} MIST`;
  return `${stake.status}: ${stake.slashed_mist} MIST taken, ${stake.stake_mist} MIST left (reason: ${stake.slash_reason})`;
}

/** What its machine has shown, and what that covers. */
function evidenceText(
  { kind, measurement, covers, problem, judged_at: judgedAtMs }: NonNullable<NodeEntry['attestation']>,
  at: (ms: number) => string,
): string {
  if (problem !== null) return `none: ${displayText(problem)}, judged ${at(judgedAtMs)}`;
  return `${kind}: '${displayText(measurement ?? 'any')}' (${covers}), judged ${at(judgedAtMs)}`;
}

function hostText({ host }: NodeEntry): string {
  const facts = Object.entries(host).map(([key, value]) => `${key} ${value}`);
  return facts.join(', ');
}
