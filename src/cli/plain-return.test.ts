import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { NODE_MARK } from '#cluster';
import type { Machine, Step } from '#install';
import { createIo } from './io.ts';
import { type PlainNode, plainNodeOf, untilPlainNode } from './plain-return.ts';

const node = (labels: Record<string, string>, ready: string) =>
  JSON.stringify({
    metadata: { labels },
    status: { conditions: [{ type: 'Ready', status: ready, message: 'it begins' }] },
  });

describe('what the certificate of plain k3s says of its Node', () => {
  test.each([401, 403, 404])('%i: it is of no use any more', (status) => {
    expect(plainNodeOf({ status, body: '' })).toEqual({ kind: 'refused' });
  });

  test('a Node with the mark of a stake is a staked one, Ready or not', () => {
    const body = node({ [NODE_MARK]: 'record' }, 'True');
    expect(plainNodeOf({ status: 200, body })).toEqual({ kind: 'staked' });
  });

  test('its own Node is Ready, or says why it is not', () => {
    expect(plainNodeOf({ status: 200, body: node({}, 'True') })).toEqual({ kind: 'ready' });
    expect(plainNodeOf({ status: 200, body: node({}, 'False') })).toMatchObject({
      kind: 'waiting',
      detail: expect.stringContaining('it begins'),
    });
  });

  test('a server that is in trouble says nothing of the Node', () => {
    expect(plainNodeOf({ status: 503, body: '' })).toMatchObject({ kind: 'unknown' });
  });
});

describe('the way back to plain k3s', () => {
  let root: string;
  let starts: number;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'plain-return-'));
    starts = 0;
  });
  afterEach(() => rm(root, { recursive: true }));

  /** Goes by what each look finds, the last for ever; a look takes a second. */
  async function follow(looks: readonly PlainNode[]): Promise<string> {
    let nowMs = 0;
    let looked = 0;
    let printed = '';
    const machine: Machine = {
      root,
      uid: 0,
      run: async () => {
        starts += 1;
        return { exitCode: 0, output: '' };
      },
    };
    const sink = new Writable({
      write: (chunk, _encoding, done) => {
        printed += chunk;
        done();
      },
    });
    const io = createIo({ json: false, stdout: sink, stderr: sink });
    const restart: Step = { kind: 'run', argv: ['restart'], why: 'test', deadlineMs: 1_000 };
    await untilPlainNode(io, {
      machine,
      plans: {
        again: { steps: [restart], undo: [], notes: [] },
        end: { steps: [], undo: [], notes: [] },
      },
      look: async () => looks[Math.min(looked++, looks.length - 1)] as PlainNode,
      clock: {
        monotonicMs: () => nowMs,
        sleep: async (delayMs) => {
          nowMs += delayMs;
        },
      },
      waitMs: 60_000,
      nodeName: 'worker-1',
    });
    return printed;
  }
  const staked: PlainNode = { kind: 'staked' };
  const refused: PlainNode = { kind: 'refused' };
  const waiting: PlainNode = { kind: 'waiting', detail: 'it begins' };

  test('waits for the operator, starts plain k3s once when the staked Node is gone, and ends when its own is Ready', async () => {
    const printed = await follow([staked, staked, refused, refused, waiting, { kind: 'ready' }]);
    expect(starts).toBe(1);
    expect(printed.match(/is a staked Node still/g)).toHaveLength(1);
    expect(printed).toContain('the Node worker-1 is Ready');
  });

  test('starts it again when the name was not open yet, but leaves a start its time', async () => {
    await follow([...Array<PlainNode>(40).fill(refused), { kind: 'ready' }]);
    expect(starts).toBe(3);
  });

  test.each([
    ['a staked Node that nobody gives back', staked, 'give the name back'],
    ['a name that the cluster refuses', refused, 'open the name'],
    ['a Node that does not become Ready', waiting, 'it begins'],
  ])('says after its time what it waits for: %s', async (_what, found, why) => {
    await expect(follow([found])).rejects.toMatchObject({
      code: 'DAAS_INSTALL_PLAIN_WAITING',
      message: expect.stringContaining(why),
    });
  });
});
