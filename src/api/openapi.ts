import { z } from 'zod';
import { LONGEST_PROOF } from '#seal';
import { PROBLEMS } from './problems.ts';
import {
  AttestationQuery,
  AttestationReply,
  CertificatesBody,
  CertificatesReply,
  ChainProofReply,
  ChallengeQuery,
  ChallengeReply,
  HeartbeatBody,
  HeartbeatReply,
  LeaveBody,
  LeaveReply,
  PATHS,
  PROBLEM_TYPE,
  Problem,
  RegisterBody,
  RegisterReply,
} from './wire.ts';

/** Where the gateway serves the document. */
export const OPENAPI_PATH = '/openapi.json';

type Json = Readonly<Record<string, unknown>>;

const schemas = {
  ChallengeReply,
  RegisterBody,
  RegisterReply,
  HeartbeatBody,
  HeartbeatReply,
  CertificatesBody,
  CertificatesReply,
  LeaveBody,
  LeaveReply,
  AttestationReply,
  ChainProofReply,
  Problem,
};

type SchemaName = keyof typeof schemas;

/**
 * The public port as an OpenAPI 3.1 document, made from the schemas that requests and replies are parsed by. docs/openapi.json is
 * a copy (`npm run openapi`), and each gateway serves its own.
 */
export function openApiDocument(): Json {
  return {
    openapi: '3.1.0',
    info: {
      title: 'K3s-DaaS gateway, public port',
      version: '1',
      description:
        'Times are milliseconds since the epoch in the gateway’s clock, amounts are decimal strings of MIST. A request with an unknown member is refused; ignore unknown members of replies. docs/api.md says how a Seal proof is made.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    paths: paths(),
    components: {
      schemas: Object.fromEntries(
        Object.entries(schemas).map(([name, schema]) => [name, jsonSchema(schema)]),
      ),
      securitySchemes: {
        sealProof: {
          type: 'apiKey',
          in: 'header',
          name: 'X-Seal-Token',
          description: `\`seal_\` and a compact JWS of at most ${LONGEST_PROOF} characters, made for this one request`,
        },
      },
    },
    'x-problem-codes': PROBLEMS_BY_CODE,
  };
}

const PROBLEMS_BY_CODE: Json = Object.fromEntries(
  Object.entries(PROBLEMS).map(([code, { status, title, isRetryable }]) => [
    code,
    { status, title, retryable: isRetryable },
  ]),
);

function paths(): Json {
  return {
    [PATHS.challenge]: {
      get: {
        operationId: 'challenge',
        summary: 'A nonce for a registration, and whether this node id of this wallet would be admitted',
        security: [],
        parameters: queryOf(ChallengeQuery),
        responses: answers('ChallengeReply'),
      },
    },
    [PATHS.register]: post(
      'register',
      'Register a worker: a proof with the nonce of a challenge',
      'Register',
    ),
    [PATHS.heartbeat]: post(
      'heartbeat',
      'Report a worker, and hear what it has to do: a proof with incarnation and sequence',
      'Heartbeat',
    ),
    [PATHS.certificates]: post(
      'showCertificates',
      'Show the client certificates of the agent: a proof with the nonce of a challenge',
      'Certificates',
    ),
    [PATHS.leave]: post('leave', 'Leave the cluster: a proof with the nonce of a challenge', 'Leave'),
    [PATHS.events]: {
      get: {
        operationId: 'events',
        summary:
          'Hear that the stake record of this node changed, as server-sent events `record`: a proof with the nonce of a challenge',
        security: [{ sealProof: [] }],
        responses: {
          200: {
            description: 'Goes on until either side ends it; what the record is now is on chain',
            content: { 'text/event-stream': { schema: { type: 'string' } } },
          },
          default: problem,
        },
      },
    },
    [PATHS.attestation]: {
      get: {
        operationId: 'attestation',
        summary: 'Evidence of what this gateway runs, bound to its TLS key and the nonce',
        security: [],
        parameters: queryOf(AttestationQuery),
        responses: answers('AttestationReply'),
      },
    },
    [PATHS.chainProof]: {
      post: {
        operationId: 'bringChainProof',
        summary: 'Bring a proof of what happened on chain; a gateway without trust pins has no such route',
        security: [],
        requestBody: { required: true, content: { 'application/json': { schema: { type: 'object' } } } },
        responses: answers('ChainProofReply'),
      },
    },
    '/livez': {
      get: {
        operationId: 'live',
        summary: 'The port answers',
        security: [],
        responses: { 200: json({ type: 'object', properties: { status: { const: 'ok' } } }, 'It does') },
      },
    },
    [OPENAPI_PATH]: {
      get: {
        operationId: 'openapi',
        summary: 'This document',
        security: [],
        responses: { 200: json({ type: 'object' }, 'OpenAPI 3.1') },
      },
    },
  };
}

function post(
  operationId: string,
  summary: string,
  name: 'Register' | 'Heartbeat' | 'Certificates' | 'Leave',
): Json {
  return {
    post: {
      operationId,
      summary,
      security: [{ sealProof: [] }],
      requestBody: { required: true, content: { 'application/json': { schema: reference(`${name}Body`) } } },
      responses: answers(`${name}Reply`),
    },
  };
}

function answers(name: SchemaName): Json {
  return {
    200: json(reference(name), 'It is done'),
    default: problem,
  };
}

function json(schema: Json, description: string): Json {
  const headers = {
    'X-Request-Id': { schema: { type: 'string' }, description: 'what log and audit file know it by' },
  };
  return { description, headers, content: { 'application/json': { schema } } };
}

function queryOf(schema: z.ZodObject): readonly Json[] {
  const { properties = {}, required = [] } = jsonSchema(schema) as {
    properties?: Json;
    required?: readonly string[];
  };
  return Object.entries(properties).map(([name, one]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    schema: one,
  }));
}

const problem: Json = {
  description: 'A problem (RFC 9457); `code` is one of x-problem-codes',
  headers: { 'Retry-After': { schema: { type: 'integer' }, description: 'seconds' } },
  content: { [PROBLEM_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
};

const reference = (name: SchemaName): Json => ({ $ref: `#/components/schemas/${name}` });

/** As a caller may send it: defaults are optional, and what is not strict takes further members. */
function jsonSchema(schema: z.ZodType): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { target: 'draft-2020-12', io: 'input' });
  return rest;
}
