import { expect, test } from 'vitest';
import { GatewayConfig } from './config.ts';
import { checkTokenReview } from './start-checks.ts';

const tls = { certFile: 'tls.crt', keyFile: 'tls.key' };
const config = (change: object) =>
  GatewayConfig.parse({ server: 'https://k3s.example:6443', tls, ...change });

test('namespaces of people and join credentials that no API server could ask about are refused', () => {
  for (const change of [{ tenants: { enabled: true } }, { joinCredential: 'webhook' }]) {
    expect(() => checkTokenReview(config(change))).toThrow(
      expect.objectContaining({ code: 'DAAS_TOKEN_REVIEW_OFF' }),
    );
    expect(() => checkTokenReview(config({ ...change, tokenReview: { enabled: true } }))).not.toThrow();
  }
  expect(() => checkTokenReview(config({}))).not.toThrow();
});
