import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { PROBLEMS } from './problems.ts';

test('docs/api.md explains every problem, with its status, and no other', async () => {
  const text = await readFile(new URL('../../docs/api.md', import.meta.url), 'utf8');
  const section = text.slice(text.indexOf('## Problems'), text.indexOf('## Limits'));
  const documented = [...section.matchAll(/^\| `([a-z_]+)` \| (\d{3}) \| (.+) \| (.+) \|$/gm)];
  expect(Object.fromEntries(documented.map(([, code, status]) => [code, Number(status)]))).toEqual(
    Object.fromEntries(Object.entries(PROBLEMS).map(([code, { status }]) => [code, status])),
  );
  for (const [, code, , , fix] of documented) {
    const { isRetryable } = PROBLEMS[code as keyof typeof PROBLEMS];
    expect([code, fix?.startsWith('later')]).toEqual([code, isRetryable]);
  }
});
