import { expect, test } from 'vitest';
import { abortFixes } from './abort-fixes.ts';
import { failureOf } from './executed-transaction.ts';
import { executionError } from './execution-error.ts';
import { aborts } from './generated/index.ts';

const packageId = `0x${'7'.repeat(64)}`;
const abortedIn = (inPackage: string, module: string, constantName: string) =>
  failureOf(
    {
      $kind: 'MoveAbort',
      message: 'MoveAbort in 1st command',
      MoveAbort: {
        abortCode: '13906834217293053953',
        location: { package: inPackage, module, function: 0, instruction: 0, functionName: 'f' },
        cleverError: {
          constantName,
          errorCode: undefined,
          lineNumber: 1,
          constantType: undefined,
          value: undefined,
        },
      },
    } as unknown as Parameters<typeof failureOf>[0],
    packageId,
  );

test.each(Object.keys(aborts))('%s is told as a sentence with a fix', (name) => {
  const [module = '', constant = ''] = name.split('::');
  const error = executionError(abortedIn(packageId, module, constant));
  expect(error.message).toBe(
    `${aborts[name as keyof typeof aborts]}: ${abortFixes[name as keyof typeof aborts]}`,
  );
  expect(error.details).toMatchObject({ module, constant });
  expect(error.exitCode).toBe(78);
  expect(error.isRetryable).toBe(false);
});

test('aborts that callers decide on have codes of their own', () => {
  const code = (module: string, constant: string) =>
    executionError(abortedIn(packageId, module, constant)).code;
  expect(code('cluster', 'ENodeIdTaken')).toBe('DAAS_NODE_ID_TAKEN');
  expect(code('staking', 'EStakeBelowMinimum')).toBe('DAAS_STAKE_TOO_LOW');
  expect(code('slashing', 'ENotSlasher')).toBe('DAAS_CHAIN_ABORT');
});

test('an abort of the same name in another package is not ours', () => {
  const error = executionError(abortedIn('0x2', 'cluster', 'ENodeIdTaken'));
  expect(error).toMatchObject({ code: 'DAAS_CHAIN_EXECUTION_FAILED' });
});
