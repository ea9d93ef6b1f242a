import { request } from 'node:http';
import { settled } from '#testing';
import type { World } from './world.fixture.ts';

export interface Reply {
  readonly status: number;
  readonly json: Record<string, unknown>;
}

export function call(world: World, method: string, path: string, body?: unknown): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  const outgoing = request(
    {
      socketPath: world.gateway?.socketPath,
      method,
      path,
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
    },
    (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () =>
        resolve({
          status: incoming.statusCode ?? 0,
          json: JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<string, unknown>,
        }),
      );
    },
  );
  outgoing.on('error', reject);
  outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  return promise;
}

export async function command(world: World, path: string, body: unknown): Promise<Reply> {
  const reply = await call(world, 'POST', path, body);
  await settled(60);
  return reply;
}
