import { expect, test } from 'vitest';
import type { WorkerEvidence, WorkerEvidenceRequest } from '#api';
import { call, command } from './operator.fixture.ts';
import type { MachineJudge, MachineVerdict, ShownMachine } from './worker-attestation.ts';
import { World } from './world.fixture.ts';

const KEY = `000b${'11'.repeat(32)}`;
const GOOD: MachineVerdict = {
  isAccepted: true,
  kind: 'tpm',
  measurement: 'release 1',
  covers: 'firmware, kernel, initrd',
  attestationKey: KEY,
  reasons: [],
};
const BAD: MachineVerdict = { ...GOOD, isAccepted: false, reasons: ['tcb-outdated: the firmware is old'] };

interface Judged {
  readonly world: World;
  readonly judged: readonly ShownMachine[];
  /** What the judge answers from now on. */
  answer: MachineVerdict;
}

async function open(mode: 'off' | 'record' | 'require', answer = GOOD): Promise<Judged> {
  const world = await World.create({ admit: { attestation: { mode } } });
  const judged: ShownMachine[] = [];
  const given = { world, judged, answer };
  const machines: MachineJudge = {
    judge: async (shown) => {
      judged.push(shown);
      return given.answer;
    },
  };
  world.options = { machines };
  await world.startGateway();
  return given;
}

function makes(asked: WorkerEvidenceRequest[] = []): WorkerEvidence {
  return {
    make: async (bound) => {
      asked.push(bound);
      return { kind: 'tpm' };
    },
  };
}

function applicant({ world }: Judged, nodeId: string, evidence: WorkerEvidence | undefined = makes()) {
  const worker = world.worker(nodeId).stake();
  worker.evidence = evidence;
  return worker;
}

async function attestationOf({ world }: Judged, nodeId: string): Promise<unknown> {
  const { nodes } = (await call(world, 'GET', '/v1/nodes')).json as { nodes: Array<Record<string, unknown>> };
  return nodes.find(({ node_id: name }) => name === nodeId)?.attestation;
}

test('evidence is judged with the node key, the name and the challenge of its registration, and shown to the operator', async () => {
  const judged = await open('require');
  await using world = judged.world;
  const asked: WorkerEvidenceRequest[] = [];
  const worker = applicant(judged, 'attested', makes(asked));
  await worker.register();
  const [bound] = asked;
  expect(bound).toMatchObject({ nodeId: 'attested', gatewayId: world.config.gatewayId });
  expect(judged.judged).toMatchObject([{ nodeId: 'attested', nonce: bound?.nonce, boundKey: undefined }]);
  expect(Buffer.from(worker.key.publicKey).equals(Buffer.from(judged.judged[0]?.nodeKey ?? []))).toBe(true);
  expect(await attestationOf(judged, 'attested')).toEqual({
    kind: 'tpm',
    measurement: 'release 1',
    covers: 'firmware, kernel, initrd',
    problem: null,
    bound_key: KEY,
    judged_at: expect.any(Number),
  });
  expect(await world.audit()).toContainEqual(
    expect.objectContaining({ event: 'worker.registered', attestation: 'tpm' }),
  );
});

test('the Node is labelled with the kind of the evidence', async () => {
  const judged = await open('record');
  await using world = judged.world;
  const member = applicant(judged, 'labelled');
  await member.register();
  await member.join();
  await member.heartbeat();
  expect(await world.kubernetes.node('labelled')).toMatchObject({ attestation: 'tpm' });
  judged.answer = BAD;
  await member.register();
  await world.pass(2_000);
  expect(await world.kubernetes.node('labelled')).toMatchObject({ attestation: 'none' });
});

test('where evidence is required, a machine without any, or with a bad one, gets no credential and is told why', async () => {
  const judged = await open('require', BAD);
  await using world = judged.world;
  await expect(applicant(judged, 'refused').register()).rejects.toMatchObject({
    code: 'DAAS_GATEWAY_EVIDENCE_REFUSED',
    message: expect.stringContaining('tcb-outdated') as string,
    isRetryable: true,
  });
  const silent = world.worker('silent').stake();
  await expect(silent.register()).rejects.toMatchObject({
    code: 'DAAS_GATEWAY_EVIDENCE_MISSING',
    isRetryable: false,
  });
  expect(world.kubernetes.credentials.size).toBe(0);
  await using connection = silent.connection();
  expect(await connection.challenge({ nodeId: 'silent', staker: silent.staker })).toMatchObject({
    admissible: false,
    reason: 'evidence_missing',
  });
});

test('where evidence is recorded, a bad one and a device that fails admit all the same, and the operator sees it', async () => {
  const judged = await open('record', BAD);
  await using _ = judged.world;
  await applicant(judged, 'bad').register();
  expect(await attestationOf(judged, 'bad')).toMatchObject({
    kind: 'none',
    problem: expect.stringContaining('tcb-outdated') as string,
  });
  const broken: WorkerEvidence = { make: () => Promise.reject(new Error('EIO')) };
  await applicant(judged, 'broken', broken).register();
  expect(await attestationOf(judged, 'broken')).toMatchObject({ kind: 'none' });
});

test('where evidence is required, a device that fails ends the registration', async () => {
  const judged = await open('require');
  await using _ = judged.world;
  const broken: WorkerEvidence = { make: () => Promise.reject(new Error('EIO')) };
  await expect(applicant(judged, 'broken', broken).register()).rejects.toThrow('EIO');
});

test('a stake record stays bound to its first TPM over refusals and restarts, until the operator releases the name', async () => {
  const judged = await open('record');
  const { world } = judged;
  await using _ = world;
  const worker = applicant(judged, 'bound');
  await worker.register();
  judged.answer = BAD;
  await worker.register();
  await world.restartGateway();
  await worker.register();
  expect(judged.judged.map(({ boundKey }) => boundKey)).toEqual([undefined, KEY, KEY]);
  expect(await attestationOf(judged, 'bound')).toMatchObject({ kind: 'none', bound_key: KEY });
  await command(world, '/v1/evict', { node_id: 'bound' });
  await command(world, '/v1/release', { node_id: 'bound' });
  await worker.register();
  expect(judged.judged.at(-1)).toMatchObject({ boundKey: undefined });
});

test('a gateway that asks for nothing is sent nothing', async () => {
  const judged = await open('off');
  await using world = judged.world;
  const asked: WorkerEvidenceRequest[] = [];
  const worker = applicant(judged, 'unasked', makes(asked));
  await worker.register();
  expect([asked, judged.judged]).toEqual([[], []]);
  expect(await attestationOf(judged, 'unasked')).toBeNull();
  await worker.join();
  expect((await world.kubernetes.node('unasked'))?.attestation).toBeUndefined();
});

test('a reload leaves what judges evidence as it was: a mode without its judge would admit everything, or nothing', async () => {
  const judged = await open('require');
  await using world = judged.world;
  const { admit } = world.config;
  const next = { ...world.config, admit: { ...admit, maxNodes: 5, attestation: { mode: 'off' as const } } };
  expect(await world.gateway?.reload(next)).toMatchObject({
    applied: ['gateway.admit.maxNodes'],
    refused: ['gateway.admit.attestation.mode'],
  });
  await expect(world.worker('silent').stake().register()).rejects.toMatchObject({
    code: 'DAAS_GATEWAY_EVIDENCE_MISSING',
  });
});

test('a gateway that has to judge evidence and cannot does not start', async () => {
  await using world = await World.create({ admit: { attestation: { mode: 'record' } } });
  await expect(world.startGateway()).rejects.toThrow('needs machines');
});

async function evidenceInWhy({ world }: Judged, nodeId: string): Promise<unknown> {
  return ((await call(world, 'GET', `/v1/why/${nodeId}`)).json as Record<string, unknown>).evidence;
}

test('`gateway why` names the checks that keep a node out, and after a good registration none', async () => {
  const judged = await open('require', {
    ...BAD,
    reasons: ['tcb-outdated: the firmware is old; 2 < 3', 'debug: the guest policy is 0xb0000'],
  });
  await using _ = judged.world;
  const worker = applicant(judged, 'refused');
  await expect(worker.register()).rejects.toThrow();
  await expect
    .poll(() => evidenceInWhy(judged, 'refused'))
    .toEqual({ problem: 'it is refused', checks: ['tcb-outdated', 'debug'], keeps_out: true });
  judged.answer = GOOD;
  await worker.register();
  await expect.poll(() => evidenceInWhy(judged, 'refused')).toBeNull();
});

test('`gateway why` names what is wrong with evidence that is recorded, and that it keeps nobody out', async () => {
  const judged = await open('record', BAD);
  await using _ = judged.world;
  await applicant(judged, 'recorded').register();
  expect(await evidenceInWhy(judged, 'recorded')).toEqual({
    problem: 'its evidence is refused: tcb-outdated: the firmware is old',
    checks: ['tcb-outdated'],
    keeps_out: false,
  });
});

test('the operator sees what the chain names of the gateway: its tier and its kind of evidence', async () => {
  const { world: own } = await open('off');
  await using world = own;
  await world.pass(2_000);
  expect((await call(world, 'GET', '/v1/nodes')).json).toMatchObject({
    gateway: { id: world.config.gatewayId, tier: 'basic', attestation_kind: 'none' },
  });
});
