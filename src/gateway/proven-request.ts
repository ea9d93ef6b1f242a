import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { bodyDigest, PROOF_HEADER } from '#seal';
import { ApiProblem } from './api-problem.ts';
import { parseRequest, pathOf } from './http.ts';
import { peerAddress } from './peer-address.ts';
import { addressKey } from './rate-limit.ts';
import type { ProvenRequest } from './verdict-refusals.ts';

/** What a proof is checked against: the request as it came. */
export function provenRequest(request: FastifyRequest, audience: string): ProvenRequest {
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  return {
    proof: proofOf(request),
    target: { audience, method: request.method, path: pathOf(request), bodyDigest: bodyDigest(body) },
    address: addressKey(request.ip),
    peer: peerAddress(request.ip),
    requestId: request.id,
  };
}

/** The header, or the same as a bearer token; two that differ count as none. */
function proofOf(request: FastifyRequest): string | undefined {
  const header = request.headers[PROOF_HEADER];
  if (typeof header === 'string' && header !== '' && request.headers.authorization === undefined)
    return header;
  const [, bearer] = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
  const given = [header, bearer].flat().filter((text) => text !== undefined && text !== '');
  return new Set(given).size === 1 ? given[0] : undefined;
}

/**
 * The body of a proven request.
 * @throws `ApiProblem` request_invalid.
 */
export function parseBody<T extends { readonly node_id: string; readonly seal_token?: string | undefined }>(
  schema: z.ZodType<T>,
  request: FastifyRequest,
  nodeId: string,
): T {
  let json: unknown;
  try {
    json = JSON.parse((request.body as Buffer).toString('utf8'));
  } catch {
    throw new ApiProblem('request_invalid', 'the body is not JSON');
  }
  const body = parseRequest(schema, json);
  if (body.node_id !== nodeId)
    throw new ApiProblem('request_invalid', 'node_id: differs from the node id of the proof');
  if (body.seal_token !== undefined && body.seal_token !== proofOf(request))
    throw new ApiProblem('request_invalid', 'seal_token: differs from the header');
  return body;
}
