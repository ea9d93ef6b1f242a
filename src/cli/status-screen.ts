import { displayText } from '#base';
import { formatSui } from '#domain';
import type { Io } from './io.ts';
import type { OfflineStatus, ShownStatus, WorkerStatus } from './status-source.ts';

type Colour = Pick<Io['colour'], 'bold' | 'dim'>;
type Row = readonly [name: string, value: string];

/** One screen of text. */
export function statusScreen(read: WorkerStatus, colour: Colour): string {
  return read.running ? runningScreen(read.status, colour) : offlineScreen(read.offline, colour);
}

function runningScreen(status: ShownStatus, colour: Colour): string {
  const { nodeId, phase, phaseDetail, phaseSinceMs, nowMs } = status;
  const detail = phaseDetail === undefined ? '' : `: ${phaseDetail}`;
  return [
    `${colour.bold(nodeId)}  ${phase} for ${span(nowMs - phaseSinceMs)}${displayText(detail)}`,
    '',
    ...rows([
      ['stake', stakeOf(status)],
      ['token', tokenOf(status)],
      ['gateway', gatewayOf(status)],
      ['evidence', evidenceOf(status)],
      ['agent', agentOf(status)],
      ['heartbeat', heartbeatOf(status)],
      ['pods', status.runningPods === undefined ? 'unknown' : String(status.runningPods)],
      ['machine', usageOf(status)],
    ]),
    '',
    ...rows(healthOf(status)),
    '',
    ...attentionOf(status, colour),
  ].join('\n');
}

function rows(cells: readonly Row[]): readonly string[] {
  const width = Math.max(...cells.map(([name]) => name.length));
  return cells.map(([name, value]) => `${name.padEnd(width)}  ${displayText(value)}`);
}

function stakeOf({ stake }: ShownStatus): string {
  return stake ? `${formatSui(BigInt(stake.stakeMist))}, record ${stake.recordId}` : 'not known yet';
}

function tokenOf({ token }: ShownStatus): string {
  if (!token) return 'not known yet';
  const { tokenId, epoch, expiresAtEpoch } = token;
  if (epoch === undefined || expiresAtEpoch === undefined) return tokenId;
  const left = BigInt(expiresAtEpoch) - BigInt(epoch);
  const ends = left > 0n ? `ends in ${left} ${left === 1n ? 'epoch' : 'epochs'}` : 'has expired';
  return `${ends} (now ${epoch}, ends at ${expiresAtEpoch}), ${tokenId}`;
}

function gatewayOf({ gateway, nowMs }: ShownStatus): string {
  if (!gateway) return 'not registered';
  const since = span(nowMs - gateway.registeredAtMs);
  const tier = gateway.gatewayTier === undefined ? '' : ` (tier ${gateway.gatewayTier})`;
  return `${gateway.gatewayUrl}${tier}, registration ${gateway.incarnation}, ${since} ago`;
}

/** What was judged on both sides at the last registration. */
function evidenceOf({ gateway }: ShownStatus): string {
  if (!gateway) return 'not registered';
  const { gatewayEvidence, machineEvidence } = gateway;
  return [
    `gateway: ${gatewayEvidence ?? 'not asked (teeMode none)'}`,
    `this machine: ${machineEvidence ?? 'not asked'}`,
  ].join('; ');
}

function agentOf({ agent }: ShownStatus): string {
  if (!agent) return 'not made yet';
  if ('pid' in agent) return `${agent.kind}, pid ${agent.pid}`;
  return 'detail' in agent ? `${agent.kind}: ${agent.detail}` : agent.kind;
}

function heartbeatOf({ heartbeat, nowMs }: ShownStatus): string {
  if (!heartbeat) return 'none yet';
  const { acknowledgedAtMs, failures, lastFailure } = heartbeat;
  const last =
    acknowledgedAtMs === undefined
      ? 'never acknowledged'
      : `acknowledged ${span(nowMs - acknowledgedAtMs)} ago`;
  return failures === 0 ? last : `${last}; ${failures} failed since: ${lastFailure ?? ''}`;
}

function usageOf({ usage }: ShownStatus): string {
  if (!usage) return 'unknown';
  const { cpuPercent, memoryPercent, diskPercent } = usage;
  return `CPU ${cpuPercent} %, memory ${memoryPercent} %, disk ${diskPercent} %`;
}

function healthOf({ health }: ShownStatus): readonly Row[] {
  return Object.entries(health.details).map(([name, { ready, live, detail }]) => {
    const state = ready ? 'ok' : live ? 'not ready' : 'BROKEN';
    return [name, `${state.padEnd('not ready'.length)}  ${detail}`] as const;
  });
}

function attentionOf({ attention, nowMs }: ShownStatus, colour: Colour): readonly string[] {
  if (attention.length === 0) return ['Nothing needs you.'];
  return [
    colour.bold('Needs you'),
    ...attention.flatMap(({ severity, kind, summary, remedy, sinceMs }) => [
      `${severity}  ${displayText(summary)} ${colour.dim(`(${kind}, for ${span(nowMs - sinceMs)})`)}`,
      `          ${displayText(remedy)}`,
    ]),
  ];
}

function offlineScreen(offline: OfflineStatus, colour: Colour): string {
  const { nodeId, healthUrl, problem, stateDir, recordId, latch, pid, agentPid } = offline;
  return [
    `${colour.bold(nodeId)}  ${pid === undefined ? 'the host does not run' : `the host (pid ${pid}) does not answer`}`,
    '',
    ...rows([
      ['asked', `${healthUrl}/status: ${problem}`],
      ['state', stateDir],
      ['joined', recordId === undefined ? 'never, from this directory' : `with record ${recordId}`],
      ['agent', agentPid === undefined ? 'does not run' : `k3s runs without it, pid ${agentPid}`],
      ['latch', latch ?? 'none'],
    ]),
    '',
    colour.bold('Needs you'),
    remedyOf(offline),
  ].join('\n');
}

function remedyOf({ latch, pid }: OfflineStatus): string {
  if (latch !== undefined)
    return 'the node is locked out: docs/operations.md, "A node that was evicted", says what brings it back';
  if (pid !== undefined) return `look at its log, \`journalctl -u k3s-agent\`; restart it if it hangs`;
  return 'start it, `systemctl start k3s-agent`; `k3s-daas doctor` says what would keep it from starting';
}

/** The two largest units: `2 d 5 h`, `40 s`. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  const units: ReadonlyArray<readonly [string, number]> = [
    ['d', 86_400],
    ['h', 3_600],
    ['min', 60],
    ['s', 1],
  ];
  const first = Math.max(
    0,
    units.findIndex(([, size]) => seconds >= size),
  );
  if (seconds === 0) return '0 s';
  const parts: string[] = [];
  let rest = seconds;
  for (const [name, size] of units.slice(first, first + 2)) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count} ${name}`);
  }
  return parts.join(' ');
}
