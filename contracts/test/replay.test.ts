import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readInterface } from './interface.ts';
import { namedErrors } from './modules.ts';
import { BUILD_FILE } from './move.ts';
import { readScenarios } from './scenario.ts';
import { Player } from './scenario-player.ts';
import { openStage } from './stage.ts';

describe('the shared scenarios leave nothing out', () => {
  const abi = readInterface();
  const steps = readScenarios().flatMap((scenario) => scenario.steps);

  test('every public function that is more than the reading of a field is called', () => {
    const called = new Set(
      [...JSON.stringify(steps).matchAll(/"call":"([\w:]+)"/g)].map(([, name]) => name ?? ''),
    );
    const isAccessor = (name: string) => {
      const [only, ...others] = abi.functions.get(name)?.parameters ?? [];
      return others.length === 0 && only?.kind === 'reference' && !only.isMutable;
    };
    expect([...abi.functions.keys()].filter((name) => !called.has(name) && !isAccessor(name))).toEqual([]);
  });

  test('every event is emitted', () => {
    const emitted = new Set(steps.flatMap(({ events = [] }) => events.map(({ type }) => type)));
    // All events begin with the cluster they are about, and nothing else does.
    const events = [...abi.structs].filter(([, [first]]) => first?.name === 'cluster').map(([name]) => name);
    expect([...emitted].sort()).toEqual(events.sort());
  });

  test('every named error happens, but for the one that no call from outside can reach', () => {
    const { modules } = JSON.parse(readFileSync(BUILD_FILE, 'utf8')) as { modules: Record<string, string> };
    const seen = new Set(steps.map(({ abort }) => abort));
    const unseen = namedErrors(modules)
      .map(({ module, name }) => `${module}::${name}`)
      .filter((name) => !seen.has(name));
    // A token that is not its active record's live one has been deleted: by its rotation or its revocation.
    expect(unseen).toEqual(['k8s_gateway::ETokenNotLive']);
  });
});

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
