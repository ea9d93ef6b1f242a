import { describe, expect, test } from 'vitest';
// The shared scenarios, and what plays them through the SDK, belong to the contracts' own tests.
// biome-ignore lint/style/noRestrictedImports: see above; a test may reach there, the chain may not.
import { readScenarios, type Step } from '../../contracts/test/scenario.ts';
// biome-ignore lint/style/noRestrictedImports: as above.
import { type Outcome, Player } from '../../contracts/test/scenario-player.ts';
// biome-ignore lint/style/noRestrictedImports: as above.
import { openStage } from '../../contracts/test/stage.ts';

/** The part of a step that says what it must do; what is absent must not happen. */
function expected({ abort, returns, events, objects, deleted, paid }: Step): Outcome {
  const all = { abort, returns, events, objects, deleted, paid };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

const scenarios = readScenarios();

test('there are shared scenarios', () => {
  expect(scenarios.length).toBeGreaterThan(0);
});

describe.each(scenarios)('$title ($name)', (scenario) => {
  test('does here what it does in the Move VM', { timeout: 120_000 }, async () => {
    await using stage = await openStage();
    const player = new Player(stage, scenario);
    for (const [index, step] of scenario.steps.entries()) {
      const place = `step ${index + 1}: ${step.by} calls ${step.call}`;
      expect([place, await player.play(step)]).toEqual([place, expected(step)]);
    }
  });
});
