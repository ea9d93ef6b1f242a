import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openApiText } from './openapi-page.ts';

/** Writes docs/openapi.json. */
writeFileSync(join(import.meta.dirname, '..', 'docs/openapi.json'), openApiText());
