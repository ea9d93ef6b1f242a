import { describe, expect, test } from 'vitest';
import { readCleverError } from './clever-error.ts';
import type { CompiledModule } from './compiled-module.ts';
import { MoveAbort, MoveFault, MoveOutOfGas, MovePrimitiveFault } from './faults.ts';
import { moduleOf, runStory, STORY_MODULES, sourceOf, storiesOf } from './story.fixture.ts';

// That Move's own VM ends the stories in the same way is tested in contracts/test/move-machine.test.ts.
describe.each(STORY_MODULES)('the stories of the %s', (name) => {
  const module = moduleOf(name);

  test.each(storiesOf(sourceOf(name)))('%s', (story) => {
    if (story.startsWith('fails_')) expect(() => runStory(module, story)).toThrow(MoveFault);
    else runStory(module, story);
  });
});

describe('the machine', () => {
  const language = moduleOf('language');

  test('says where an abort happened and what its named error is', () => {
    const module = language;
    const abort = failureOf(module, 'fails_with_a_named_error');
    expect(abort).toBeInstanceOf(MoveAbort);
    const { location, code } = abort as MoveAbort;
    expect(location).toMatchObject({ module: 'language', functionName: 'fails_with_a_named_error' });
    expect(module.functions[location.functionIndex]?.signature.name).toBe('fails_with_a_named_error');
    expect(readCleverError(code, module)).toMatchObject({
      constantName: 'ETooSmall',
      rendered: 'The number is too small',
      errorCode: undefined,
      lineNumber: lineOf('assert!(1u64 > 2, ETooSmall)'),
    });
  });

  test('reads a code that the error was given, and leaves plain numbers alone', () => {
    const module = language;
    const withCode = failureOf(module, 'fails_with_a_code') as MoveAbort;
    expect(readCleverError(withCode.code, module)).toMatchObject({ constantName: 'EWithCode', errorCode: 7 });
    const plain = failureOf(module, 'fails_with_a_number') as MoveAbort;
    expect(plain.code).toBe(42n);
    expect(readCleverError(plain.code, module)).toBeUndefined();
  });

  test('stops when the budget is used up', () => {
    const module = language;
    expect(() => runStory(module, 'recursion', 1_000)).toThrow(MoveOutOfGas);
  });

  test('names arithmetic faults apart from aborts', async () => {
    expect(failureOf(language, 'fails_by_overflow_of_u8')).toBeInstanceOf(MovePrimitiveFault);
  });

  const lineOf = (text: string): number =>
    sourceOf('language')
      .split('\n')
      .findIndex((line) => line.includes(text)) + 1;

  function failureOf(module: CompiledModule, story: string): unknown {
    try {
      runStory(module, story);
    } catch (error) {
      return error;
    }
    return undefined;
  }
});
