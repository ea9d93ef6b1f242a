import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readInterface } from './interface.ts';
import { namedErrors } from './modules.ts';
import { BUILD_FILE } from './move.ts';
import { madeBy, readScenarios } from './scenario.ts';
import { Player } from './scenario-player.ts';
import { openStage } from './stage.ts';

/**
 * What takes a document that only the chain's native can make, which the Move VM of the tests does not have:
 * `contracts/tests/attestation_tests.move` tests what follows the reading, `attestation.test.ts` the reading.
 */
const ATTESTATION = {
  functions: ['attestation::register_attestation'],
  events: ['cluster::GatewayAttested'],
  aborts: [
    'attestation::EDebugEnclave',
    'attestation::EDocumentAge',
    'attestation::EDocumentNotNewer',
    'attestation::EEnclaveKey',
    'attestation::EMeasurementDiffers',
    'attestation::ENotNitro',
  ],
};

describe('the shared scenarios leave nothing out', () => {
  const abi = readInterface();
  const steps = readScenarios().flatMap((scenario) => scenario.steps);

  test('every public function that is more than the reading of a field is called', () => {
    const called = new Set(
      [...JSON.stringify(steps).matchAll(/"call":"([\w:]+)"/g)].map(([, name]) => name ?? ''),
    );
    // A step that makes an object shares it at its end.
    for (const step of steps) called.add(madeBy(step, abi)?.share ?? '');
    const isAccessor = (name: string) => {
      const [only, ...others] = abi.functions.get(name)?.parameters ?? [];
      return others.length === 0 && only?.kind === 'reference' && !only.isMutable;
    };
    const missing = [...abi.functions.keys()].filter((name) => !called.has(name) && !isAccessor(name));
    expect(missing).toEqual([...ATTESTATION.functions]);
  });

  test('every event is emitted', () => {
    const emitted = new Set(steps.flatMap(({ events = [] }) => events.map(({ type }) => type)));
    // All events begin with the cluster they are about, and nothing else does.
    const events = [...abi.structs].filter(([, [first]]) => first?.name === 'cluster').map(([name]) => name);
    expect([...emitted, ...ATTESTATION.events].sort()).toEqual(events.sort());
  });

  test('every named error happens, but for those that no call from outside can reach', () => {
    const { modules } = JSON.parse(readFileSync(BUILD_FILE, 'utf8')) as { modules: Record<string, string> };
    const seen = new Set(steps.map(({ abort }) => abort));
    const unseen = namedErrors(modules)
      .map(({ module, name }) => `${module}::${name}`)
      .filter((name) => !seen.has(name));
    const unreachable = [
      // A cluster is of another version only when a later package has lifted it.
      'cluster::EWrongVersion',
      // A token that is not its active record's live one has been deleted: by its rotation or its revocation.
      'k8s_gateway::ETokenNotLive',
    ];
    expect(unseen.sort()).toEqual([...ATTESTATION.aborts, ...unreachable]);
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
          also: _also,
          creates: _made,
          ...expected
        } = step;
        expect(await player.play(step), `step ${index + 1}, ${call}`).toEqual(expected);
      }
    },
    240_000,
  );
});
