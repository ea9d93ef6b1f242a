import { openApiDocument } from '../src/api/openapi.ts';

/** docs/openapi.json, as `npm run openapi` writes it. */
export function openApiText(): string {
  return `${JSON.stringify(openApiDocument(), null, 2)}\n`;
}
