import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOMS, roomOf, violations } from './import-law.ts';

const root = join(import.meta.dirname, '..');
const folders = ROOMS.filter(({ files }) => files.endsWith('/**')).map(({ files }) => ({
  files,
  folder: files.replace('*/**', 'heartbeat/**').slice(0, -3),
}));

/** A package and a door that the room may not use. */
function forbiddenIn(file: string): string[] {
  const room = roomOf(file);
  const door = ['#gateway', '#host', 'k3s-daas/nothing'].find((name) => !room?.doors.includes(name));
  return ['left-pad', door ?? ''];
}

describe('the import law', () => {
  test.each(folders)('forbids in $files what is not named, whatever form the import has', ({ folder }) => {
    const file = `${folder}/probe.ts`;
    const [npm, door] = forbiddenIn(file);
    const forms = [
      `import a from '${npm}';`,
      `import type { B } from '${door}';`,
      `export { c } from '${npm}';`,
      `export * from '${door}';`,
      `import '${npm}';`,
      `const d = await import('${door}');`,
      `import {\n  e,\n} from '${npm}/deep';`,
    ];
    for (const form of forms) expect(violations(file, form), form).toHaveLength(1);
    expect(violations(file, forms.join('\n'))).toHaveLength(forms.length);
  });

  test('has a room for every file, and forbids a file without one everything but Node’s own modules', () => {
    expect(violations('src/attic/probe.ts', "import './x.ts';\nimport { join } from 'node:path';")).toEqual([
      './x.ts',
    ]);
  });

  test('lets a test use vitest, and nothing else its room does not have', () => {
    expect(violations('src/seal/probe.test.ts', "import { test } from 'vitest';\nimport 'fastify';")).toEqual(
      ['fastify'],
    );
    expect(violations('src/seal/probe.ts', "import { test } from 'vitest';")).toEqual(['vitest']);
  });

  test('is what the linter enforces: a forbidden import planted in each room fails the lint', () => {
    const probes = folders.map(({ folder }) => `${folder}/import-law-probe.ts`);
    try {
      for (const file of probes) {
        const lines = forbiddenIn(file).map((name, index) => `import a${index} from '${name}';`);
        writeFileSync(join(root, file), `${lines.join('\n')}\n`);
      }
      const biome = join(root, 'node_modules/@biomejs/biome/bin/biome');
      const args = [biome, 'lint', '--reporter=github', '--max-diagnostics=500', ...probes];
      const { stdout } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
      for (const file of probes) {
        const found = stdout
          .split('\n')
          .filter((line) => line.includes('noRestrictedImports') && line.includes(file));
        expect(found, file).toHaveLength(2);
      }
    } finally {
      for (const file of probes) rmSync(join(root, file), { force: true });
    }
  });
});
