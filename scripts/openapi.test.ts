import { createHash, generateKeyPairSync, type KeyObject, randomBytes, scryptSync, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import { World } from '../src/gateway/world.fixture.ts';
import { openApiText } from './openapi-page.ts';

const committed = readFileSync(join(import.meta.dirname, '../docs/openapi.json'), 'utf8');

test('docs/openapi.json is what the schemas say (npm run openapi)', () => {
  expect(committed).toBe(openApiText());
});

/**
 * A client that knows the document and docs/api.md alone, and no code of this project: it takes paths, methods and schemas from
 * the document, and judges by them what it sends and what it gets.
 */
class ForeignClient {
  readonly #origin: string;
  readonly #document: ReturnType<typeof JSON.parse>;
  readonly #ajv = new Ajv2020({
    strict: true,
    allErrors: true,
    strictTypes: false,
    formats: { uri: (text) => URL.canParse(text) },
  });

  constructor(origin: string, document: unknown) {
    this.#origin = origin;
    this.#document = document;
    this.#ajv.addVocabulary(Object.keys(this.#document));
    this.#ajv.addSchema({ $id: 'https://gateway.example/openapi', ...this.#document });
  }

  async call(operationId: string, { query = {}, body, proof }: Call = {}) {
    const [path, method, operation] = this.#operation(operationId);
    const search = new URLSearchParams(query).toString();
    const text = body === undefined ? undefined : JSON.stringify(body);
    if (text !== undefined) this.#check(operation.requestBody.content['application/json'].schema, body);
    const needsProof = (operation.security ?? []).length > 0;
    expect(needsProof).toBe(proof !== undefined);
    const seal = proof?.({ method: method.toUpperCase(), path, text: text ?? '' });
    const reply = await send(this.#origin, {
      method: method.toUpperCase(),
      path: search === '' ? path : `${path}?${search}`,
      headers: {
        ...(text !== undefined && { 'content-type': 'application/json' }),
        ...(seal !== undefined && { [this.#document.components.securitySchemes.sealProof.name]: seal }),
      },
      text,
    });
    const answer = operation.responses[reply.status] ?? operation.responses.default;
    const [media = ''] = (reply.type ?? '').split(';');
    expect(Object.keys(answer.content)).toContain(media);
    this.#check(answer.content[media].schema, reply.json);
    return reply;
  }

  #operation(operationId: string) {
    for (const [path, methods] of Object.entries<Record<string, never>>(this.#document.paths))
      for (const [method, operation] of Object.entries<ReturnType<typeof JSON.parse>>(methods))
        if (operation.operationId === operationId) return [path, method, operation] as const;
    throw new Error(`the document has no operation ${operationId}`);
  }

  #check(schema: { $ref?: string }, value: unknown): void {
    const whole =
      schema.$ref === undefined ? schema : { $ref: `https://gateway.example/openapi${schema.$ref}` };
    const validate = this.#ajv.compile(whole);
    expect([validate(value), validate.errors]).toEqual([true, null]);
  }
}

interface Call {
  readonly query?: Record<string, string>;
  readonly body?: unknown;
  readonly proof?: ((asked: { method: string; path: string; text: string }) => string) | undefined;
}

function send(
  origin: string,
  {
    method,
    path,
    headers,
    text,
  }: { method: string; path: string; headers: Record<string, string>; text: string | undefined },
) {
  const { promise, resolve, reject } = Promise.withResolvers<{
    status: number;
    type: string | undefined;
    json: ReturnType<typeof JSON.parse>;
  }>();
  const call = request(new URL(path, origin), { method, headers, rejectUnauthorized: false }, (reply) => {
    let body = '';
    reply.setEncoding('utf8').on('data', (part: string) => {
      body += part;
    });
    reply.once('end', () =>
      resolve({ status: reply.statusCode ?? 0, type: reply.headers['content-type'], json: JSON.parse(body) }),
    );
  });
  call.once('error', reject).end(text);
  return promise;
}

/** A Seal proof, as docs/api.md describes it. */
function sealProof(
  { key, tokenId, claims, jwk }: { key: KeyObject; tokenId: string; claims: object; jwk?: object },
  { method, path, text }: { method: string; path: string; text: string },
  nowMs: number,
): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const header = { typ: 'seal+jwt', alg: 'Ed25519', kid: tokenId, ...(jwk && { jwk }) };
  const bd = createHash('sha256').update(text).digest('base64url');
  const times = { iat: nowMs / 1000, exp: nowMs / 1000 + 30 };
  const signed = `${part(header)}.${part({ ...claims, ...times, htm: method, htu: path, bd })}`;
  return `seal_${signed}.${sign(null, Buffer.from(signed), key).toString('base64url')}`;
}

/** k3s’ hash of a node password: scrypt with N = 2^15, r = 8, p = 1. */
function nodePasswordHash(): string {
  const salt = randomBytes(8).toString('hex');
  const options = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 };
  const hash = scryptSync(randomBytes(16).toString('hex'), salt, 64, options).toString('base64');
  return `$1:${salt}:15:8:1:${hash.replaceAll('=', '')}`;
}

test('a client made from the document alone registers, sends heartbeats and leaves; every message is as it says', async () => {
  await using world = await World.start();
  const { privateKey: key, publicKey } = generateKeyPairSync('ed25519');
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: publicKey.export({ format: 'jwk' }).x };
  const { tokenId } = world.chain.stake('foreign-1', Buffer.from(jwk.x ?? '', 'base64url'));
  await world.pass(1_000);
  const origin = world.gateway?.publicUrl ?? '';
  const served = await send(origin, { method: 'GET', path: '/openapi.json', headers: {}, text: undefined });
  expect(served.json).toEqual(JSON.parse(committed));
  const client = new ForeignClient(origin, served.json);
  const nowMs = () => world.clock.nowMs();
  const staker = `0x${'51'.repeat(32)}`;

  const nonceProof = async (): Promise<Call['proof']> => {
    const { json } = await client.call('challenge', { query: { node_id: 'foreign-1', staker } });
    const claims = { iss: 'foreign-1', aud: json.gateway_id, nonce: json.nonce };
    return (asked) => sealProof({ key, tokenId, jwk, claims }, asked, nowMs());
  };
  const who = { iss: 'foreign-1', aud: world.config.gatewayId };
  const common = () => ({ node_id: 'foreign-1', timestamp: nowMs() });
  const registered = await client.call('register', {
    body: { ...common(), node_password_hash: nodePasswordHash(), host: { os: 'plan9' } },
    proof: await nonceProof(),
  });
  expect(registered).toMatchObject({ status: 200, json: { node_id: 'foreign-1', incarnation: 1 } });

  let seq = 0;
  const proof: Call['proof'] = (asked) => {
    seq += 1;
    return sealProof({ key, tokenId, claims: { ...who, inc: 1, seq } }, asked, nowMs());
  };
  const resource_usage = { cpu_percent: 1, memory_percent: 2, disk_percent: 3 };
  const state = { stake_status: 'active', stake_amount: '2000000000', agent_state: 'ready', running_pods: 0 };
  const beat = await client.call('heartbeat', { body: { ...common(), ...state, resource_usage }, proof });
  expect(beat).toMatchObject({ status: 200, json: { status: 'acknowledged' } });
  const certificates = { ...common(), certificates: ['-----BEGIN CERTIFICATE-----\n'] };
  expect(
    await client.call('showCertificates', { body: certificates, proof: await nonceProof() }),
  ).toMatchObject({
    status: 409,
  });
  expect(await client.call('leave', { body: common(), proof: await nonceProof() })).toMatchObject({
    json: { status: 'leaving' },
  });
  expect(await client.call('attestation', { query: { nonce: 'A'.repeat(43) } })).toMatchObject({
    status: 404,
  });
  expect(await client.call('live')).toMatchObject({ status: 200 });
  expect((await client.call('challenge', { query: { node_id: 'Not A Label', staker } })).json).toMatchObject({
    code: 'request_invalid',
  });
});
