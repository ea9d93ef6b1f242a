import { ALL_DOORS, isTest, ROOMS, type Room, TEST_DOORS, TEST_FILES, TEST_PACKAGES } from './import-law.ts';

/** Biome's overrides: one a room, and one for the tests in it. */
export function lintOverrides(): readonly object[] {
  return [
    override(
      ['**/*.ts', '**/*.mts'],
      ['node:*', 'node:*/**'],
      'no room: name this folder in scripts/import-law.ts.',
    ),
    ...ROOMS.flatMap((room) => [
      override([room.files], allowedBy(room, isTest(room.files)), messageOf(room)),
      ...inTests(room),
    ]),
  ];
}

function inTests(room: Room): object[] {
  const globs = testGlobs(room.files);
  return globs.length === 0 ? [] : [override(globs, allowedBy(room, true), messageOf(room))];
}

function testGlobs(files: string): string[] {
  if (!files.endsWith('/**')) return [];
  if (files === 'integration/**') return [files];
  const folder = files.slice(0, -2);
  return TEST_FILES.filter((glob) => glob.startsWith('**/')).map((glob) => `${folder}${glob}`);
}

function allowedBy(room: Room, inTest: boolean): string[] {
  const doors = inTest ? [...room.doors, ...TEST_DOORS] : room.doors;
  const packages = inTest ? [...room.packages, ...TEST_PACKAGES] : room.packages;
  const up = room.reachesUp ? ['../**'] : [];
  return [
    'node:*',
    'node:*/**',
    './**',
    ...up,
    ...doors,
    ...packages.flatMap((name) => [name, `${name}/**`]),
  ];
}

function messageOf({ files, doors, packages }: Room): string {
  const allowed = [...doors, ...packages];
  return `${files} may import ${allowed.length === 0 ? 'nothing of ours and no package' : allowed.join(', ')} (scripts/import-law.ts).`;
}

function override(includes: readonly string[], allowed: readonly string[], message: string): object {
  const group = ['**', ...allowed.map((pattern) => `!${pattern}`)];
  const rule = { level: 'error', options: { patterns: [{ group, message }] } };
  return { includes, linter: { rules: { style: { noRestrictedImports: rule } } } };
}

/** The table of docs/architecture.md. */
export function documentTable(): string {
  const rows = ROOMS.filter(({ isDetail }) => !isDetail).map(
    ({ files, holds, doors, packages }) =>
      `| \`${files.replace(/\/\*\*$/, '')}\` | ${holds} | ${listed(doors)} | ${listed(packages)} |`,
  );
  return ['| room | holds | doors | npm packages |', '|---|---|---|---|', ...rows].join('\n');
}

function listed(names: readonly string[]): string {
  if (names.length === ALL_DOORS.length) return 'all';
  return names.length === 0 ? '–' : names.map((name) => `\`${name}\``).join(' ');
}
