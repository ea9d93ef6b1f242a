import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { attestationPage } from './attestation-page.ts';

test('docs/attestation.md lists the checks that are made: `npm run attestation` writes it', () => {
  const text = readFileSync(join(import.meta.dirname, '..', 'docs/attestation.md'), 'utf8');
  expect(text).toBe(attestationPage(text));
});
