import { describe, expect, test } from 'vitest';
import { readScenarios } from './scenario.ts';
import { Player } from './scenario-player.ts';
import { openStage } from './stage.ts';

describe('the dev chain does what the shared scenarios say', () => {
  test.concurrent.each(readScenarios().map((scenario) => [scenario.title, scenario] as const))(
    '%s',
    async (_title, scenario) => {
      await using stage = await openStage();
      const player = new Player(stage, scenario);
      for (const [index, step] of scenario.steps.entries()) {
        const {
          by: _by,
          atMs: _at,
          epoch: _epoch,
          call,
          arguments: _given,
          creates: _made,
          ...expected
        } = step;
        expect(await player.play(step), `step ${index + 1}, ${call}`).toEqual(expected);
      }
    },
    60_000,
  );
});
