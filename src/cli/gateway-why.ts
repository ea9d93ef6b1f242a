import { displayText } from '#base';
import type { WhyReply } from '#gateway';
import { claimText } from './gateway-claims.ts';
import { ageText, durationText } from './gateway-views.ts';
import { table } from './io.ts';

/** The whole chain of reasons about one name, as one screen. */
export function whyText(reply: WhyReply): string {
  const { node_id: nodeId, summary, decisions, lets_it_in: advice } = reply;
  return [
    `${nodeId}: ${summary}`,
    '',
    table(rowsOf(reply).map(([label, value]) => [`  ${label}`, value])),
    '',
    decisions.length === 0 ? 'last decisions: none in the newest part of the audit file' : 'last decisions',
    ...(decisions.length === 0 ? [] : [table(decisions.map(decisionRow))]),
    '',
    advice.length === 0 ? 'nothing keeps it out' : 'what would let it in',
    ...(advice.length === 0 ? [] : [table(advice.map(adviceRow))]),
  ].join('\n');
}

type Row = readonly [label: string, value: string];

function rowsOf(reply: WhyReply): readonly Row[] {
  const { timestamp, worker, facts, policy, bans, node } = reply;
  return [
    ...stakeRows(reply),
    ['facts', factsText(facts)],
    [
      'bans',
      bans.map(({ subject, reason }) => `${subject.replace('_', ' ')} (${reason})`).join(', ') || 'none',
    ],
    ...(worker?.locked ? [['locked', 'its registrations wait for `gateway unlock`'] as const] : []),
    ['policy', policyText(policy)],
    ...(reply.claim ? [['claimed', claimText(reply.claim, timestamp)] as const] : []),
    ['password', passwordTexts[reply.password] ?? reply.password],
    ['credential', credentialText(reply)],
    ...evidenceRows(reply),
    ...certificateRows(reply),
    [
      'Node',
      node
        ? `${node.ready ? 'Ready' : 'not Ready'}, ${ageText(node.created_at, timestamp).replace(' ago', ' old')}${node.held_for ? `, gets no new pods (${node.held_for})` : ''}`
        : 'none',
    ],
    ['heartbeat', heartbeatText(worker, timestamp)],
  ];
}

function stakeRows({ worker, token, facts }: WhyReply): readonly Row[] {
  if (!worker)
    return [
      [
        'stake record',
        facts.live_record ?? (facts.live_record_error ? `unread: ${facts.live_record_error}` : 'none'),
      ],
    ];
  const live = facts.live_record;
  const isOther = live !== null && live !== worker.stake_record;
  return [
    [
      'stake record',
      worker.stake_record + (worker.stake ? `, ${worker.stake.status}, ${worker.stake.stake_mist} MIST` : ''),
    ],
    ...(isOther ? [['on chain now', `${live}: another record holds the name`] as const] : []),
    ['staker', worker.staker],
    [
      'Seal token',
      token
        ? `${token.id}, number ${token.sequence}, ends with epoch ${token.expires_at_epoch}, ${token.tier}`
        : `${worker.seal_token}, not read`,
    ],
  ];
}

function factsText({ kind, certain, age_ms: ageMs, heard_ms: heardMs }: WhyReply['facts']): string {
  const age = ageMs === null ? '' : `, confirmed ${durationText(ageMs)} ago`;
  const heard = heardMs === null ? 'the chain was never heard' : `chain heard ${durationText(heardMs)} ago`;
  return `${kind}${certain ? ' (signed by validators)' : ''}${age}; ${heard}`;
}

function policyText({ listing, read }: WhyReply['policy']): string {
  if (!read) return 'could not be read';
  return listing === null ? 'not admitted: no Node may be created under this name' : `admitted as ${listing}`;
}

const passwordTexts: Readonly<Record<string, string>> = {
  ours: 'reserved by this gateway',
  foreign: 'a Secret that is not this gateway’s reserves the name',
  none: 'none',
  unread: 'could not be read',
};

function credentialText({ credential, timestamp }: WhyReply): string {
  if (!credential) return 'none';
  const leftMs = credential.expires_at - timestamp;
  return leftMs > 0
    ? `${credential.id}, ends in ${durationText(leftMs)}`
    : `${credential.id}, ended ${ageText(credential.expires_at, timestamp)}`;
}

function evidenceRows({ evidence }: WhyReply): readonly Row[] {
  if (!evidence) return [];
  const { problem, checks, keeps_out: keepsOut } = evidence;
  const named = keepsOut && checks.length > 0 ? `${problem}: ${checks.join(', ')}` : problem;
  return [['evidence', `${displayText(named)}${keepsOut ? '' : ' (recorded; it is admitted all the same)'}`]];
}

/** What to do about evidence that does not count, among what would let the name in. */
export async function withEvidenceAdvice(reply: WhyReply): Promise<WhyReply> {
  const { evidence, node_id: nodeId } = reply;
  if (!evidence) return reply;
  const { evidenceAdvice } = await import('#tee');
  const toDo =
    evidence.checks.length === 0
      ? [
          {
            by: 'machine',
            what: 'let the machine show evidence (attestation.evidence)',
            command: undefined,
          } as const,
        ]
      : evidenceAdvice(evidence.checks);
  const prefix = evidence.keeps_out ? '' : 'for its evidence to count: ';
  const advice = toDo.map(({ by, what, command }) => ({
    by: by === 'machine' ? ('staker' as const) : ('operator' as const),
    what: prefix + what,
    command: command === undefined ? null : command.replace(/ release$/, ` release ${nodeId}`),
  }));
  return { ...reply, lets_it_in: [...reply.lets_it_in, ...advice] };
}

function certificateRows({ vouches }: WhyReply): readonly Row[] {
  if (vouches === null) return [];
  if (vouches.length === 0) return [['certificates', 'none is vouched for']];
  return vouches.map(({ identity, fingerprint, not_after: until }, index) => [
    index === 0 ? 'certificates' : '',
    `${identity} ${fingerprint.slice(0, 16)}…, until ${new Date(until).toISOString()}`,
  ]);
}

function heartbeatText(worker: WhyReply['worker'], nowMs: number): string {
  if (!worker || worker.last_heartbeat === null) return 'never';
  return `${ageText(worker.last_heartbeat, nowMs)}, agent ${worker.agent_state ?? 'unknown'}`;
}

function decisionRow({ at, event, facts }: WhyReply['decisions'][number]): readonly string[] {
  const said = Object.entries(facts).flatMap(([name, value]) =>
    value === null ? [] : [`${name}=${shortened(value)}`],
  );
  return [`  ${at}`, event, said.join(' ')];
}

/** Ids of 66 characters would push everything else off the screen; `--json` has them whole. */
function shortened(value: string | number | boolean): string {
  return String(value).replaceAll(/0x([0-9a-f]{8})[0-9a-f]{56}/g, '0x$1…');
}

function adviceRow({ by, what, command }: WhyReply['lets_it_in'][number]): readonly string[] {
  return [`  ${by}`, what, command ?? ''];
}
