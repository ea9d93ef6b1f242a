import { policyOf } from './policy.fixture.ts';
import {
  describeKind,
  devPolicy,
  hex,
  measuredRows,
  REPORT_DATA,
  type Rows,
  type Trial,
} from './trial.fixture.ts';

const ANSWER = {
  accepted: true,
  platform: 'Arm CCA',
  measurement: 'realm-1',
  covers: 'application',
  reportData: hex(REPORT_DATA),
};

async function commandTrial(answer: object = {}, changes: object = {}): Promise<Trial> {
  const policy = {
    programs: { 'arm-cca': { program: '/usr/bin/cca-verify' } },
    measurements: [{ name: 'release', measurement: 'realm-1', covers: 'application' }],
    ...changes,
  };
  return {
    evidence: { kind: 'command', format: 'arm-cca', bytes: Buffer.of(1), collateral: [] },
    policy: devPolicy('command', policy),
    reportData: REPORT_DATA,
    outcome: { kind: 'answered', output: JSON.stringify({ ...ANSWER, ...answer }) },
  };
}

const commandRows: Rows<'command'> = {
  ...measuredRows(commandTrial, (accept) => ({
    command: {
      programs: { 'arm-cca': { program: accept.command?.programs['arm-cca']?.program } },
      measurements: [{ name: 'other', measurement: 'realm-2', covers: 'application' }],
    },
  })),
  'kind-not-accepted': async () => ({
    ...(await commandTrial()),
    policy: policyOf({ nitro: { measurements: 'any' } }),
  }),
  'evidence-size': async () => {
    const trial = await commandTrial();
    return { ...trial, evidence: { ...trial.evidence, bytes: Buffer.alloc(1_048_577) } };
  },
  'command-missing': () => commandTrial({}, { programs: { trustzone: { program: '/usr/bin/tz' } } }),
  'command-failed': async () => ({
    ...(await commandTrial()),
    outcome: { kind: 'failed', message: '/usr/bin/cca-verify failed: exit code 1' },
  }),
  'command-answer-invalid': () => commandTrial({ extra: true }),
  'command-refused': () => commandTrial({ accepted: false, reasons: ['the realm is in debug mode'] }),
  'coverage-too-small': () => commandTrial({ covers: 'firmware only' }),
  'report-data-missing': () => commandTrial({ reportData: null }),
};

describeKind('evidence that a program of the operator’s checks', 'command', commandTrial, commandRows);
