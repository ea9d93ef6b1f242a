import { expect, test } from 'vitest';
import { DaasError, EXIT } from '#base';
import { type Cause, consequenceOf } from './consequences.ts';

const away = new DaasError('PLUGIN_AWAY', 'no answer', { isRetryable: true });
const busy = new DaasError('PLUGIN_BUSY', 'busy', { isRetryable: true, details: { retryAfterMs: 30_000 } });
const asleep = new DaasError('PLUGIN_BUSY', 'busy', { isRetryable: true, details: { retryAfterMs: 9e9 } });
const refused = new DaasError('PLUGIN_REFUSED', 'no', { exitCode: EXIT.configuration });
const banned = new DaasError('DAAS_GATEWAY_BANNED', 'banned', { exitCode: EXIT.lockedOut });
const latched = new DaasError('DAAS_LATCHED', 'latched', { exitCode: EXIT.lockedOut });

const table: ReadonlyArray<readonly [string, Cause, object]> = [
  [
    'asked to stop: drain, exit code 0',
    { kind: 'asked', by: 'SIGTERM' },
    { kind: 'end', undo: 'drain', error: undefined, detail: 'SIGTERM' },
  ],
  [
    'slashed: latch, clear, exit code 77',
    { kind: 'slashed', recordId: '0x1', detail: 'by vote' },
    { kind: 'end', undo: 'latch', error: { code: 'DAAS_STAKE_SLASHED', exitCode: 77 } },
  ],
  [
    'the stake ended: clear without a latch, exit code 77',
    { kind: 'ended', recordId: '0x1', detail: 'unbonding' },
    { kind: 'end', undo: 'clear', error: { code: 'DAAS_STAKE_ENDED', exitCode: 77 } },
  ],
  [
    'left by `k3s-daas leave`: clear without a latch, exit code 77',
    { kind: 'left', recordId: '0x1', detail: 'left' },
    { kind: 'end', undo: 'clear', error: { code: 'DAAS_NODE_LEFT', exitCode: 77 } },
  ],
  [
    'a passing failure while joining: ask again',
    { kind: 'failed', during: 'join', error: away },
    { kind: 'ask-again', atLeastMs: 0 },
  ],
  [
    'a passing failure that names a delay: not before it is over',
    { kind: 'failed', during: 'join', error: busy },
    { kind: 'ask-again', atLeastMs: 30_000 },
  ],
  [
    'a delay of months: five minutes are enough',
    { kind: 'failed', during: 'renewal', error: asleep },
    { kind: 'ask-again', atLeastMs: 300_000 },
  ],
  [
    'refused while joining: drain, exit code of the error',
    { kind: 'failed', during: 'join', error: refused },
    { kind: 'end', undo: 'drain', error: refused },
  ],
  [
    'locked out while joining: drain, then clear what an earlier life left',
    { kind: 'failed', during: 'join', error: banned },
    { kind: 'end', undo: 'drain-and-clear', error: banned },
  ],
  [
    'latched: drain, there is nothing to clear',
    { kind: 'failed', during: 'join', error: latched },
    { kind: 'end', undo: 'drain', error: latched },
  ],
  [
    'refused while the node runs: degraded, the node runs on',
    { kind: 'failed', during: 'renewal', error: refused },
    { kind: 'degrade', detail: 'no' },
  ],
  [
    'banned while the node runs: degraded too, the chain decides about its end',
    { kind: 'failed', during: 'renewal', error: banned },
    { kind: 'degrade', detail: 'banned' },
  ],
  [
    'an agent or a task that is given up: drain, even if the failure may pass',
    { kind: 'failed', during: 'work', error: away },
    { kind: 'end', undo: 'drain', error: away },
  ],
  [
    'an error without a code: drain',
    { kind: 'failed', during: 'work', error: new Error('bug') },
    { kind: 'end', undo: 'drain', detail: 'bug' },
  ],
];

test.each(table)('%s', (_sentence, cause, consequence) => {
  expect(consequenceOf(cause)).toMatchObject(consequence);
});
