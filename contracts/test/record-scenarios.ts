// Fills in what the steps of scenarios do, as the dev chain has it:
//   node --conditions=source contracts/test/record-scenarios.ts FILE…
// An expected abort must happen, and nothing else may abort. Read the result: it is the expectation from now on.
import { readFileSync, writeFileSync } from 'node:fs';
import { readScenario, type Scenario, type Step } from './scenario.ts';
import { Player } from './scenario-player.ts';
import { openStage } from './stage.ts';

for (const file of process.argv.slice(2)) {
  const scenario = readScenario(file, readFileSync(file, 'utf8'));
  await using stage = await openStage();
  const player = new Player(stage, scenario);
  const steps: Step[] = [];
  for (const [index, step] of scenario.steps.entries()) {
    const outcome = await player.play(step).catch((cause: unknown) => {
      throw new Error(`${file}, step ${index + 1} (${step.call})`, { cause });
    });
    if (outcome.abort !== step.abort)
      throw new Error(
        `${file}, step ${index + 1} (${step.call}): expected ${step.abort ?? 'no abort'}, got ${outcome.abort ?? 'none'}`,
      );
    const { by, atMs, epoch, call, arguments: given, also, creates } = step;
    steps.push({
      by,
      ...(atMs === undefined ? {} : { atMs }),
      ...(epoch === undefined ? {} : { epoch }),
      call,
      arguments: given,
      ...(also ? { also } : {}),
      ...(creates ? { creates } : {}),
      ...outcome,
    });
  }
  const recorded: Scenario = { title: scenario.title, steps };
  writeFileSync(file, `${JSON.stringify(recorded, null, 2)}\n`);
  console.log(`recorded ${file} (${steps.length} steps)`);
}
