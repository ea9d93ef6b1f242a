import type { IncomingMessage, ServerResponse } from 'node:http';
import { badRequest, Refusal } from './status.ts';

const bodyLimitBytes = 3 * 1024 * 1024;

/** The body of a request, refused with 413 above what an API server takes. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > bodyLimitBytes)
      throw new Refusal(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${bodyLimitBytes}`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    throw badRequest('the object provided is unrecognized (must be of type JSON)');
  }
}

export function sendJson(response: ServerResponse, code: number, value: unknown): void {
  const text = `${JSON.stringify(value)}\n`;
  response.writeHead(code, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) });
  response.end(text);
}

export function sendText(
  response: ServerResponse,
  code: number,
  text: string | Uint8Array,
  contentType = 'text/plain; charset=utf-8',
): void {
  response.writeHead(code, { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(text) });
  response.end(text);
}

/** An answer of many lines, which two sides may end at any time. */
export interface LineStream {
  /** Does nothing once the stream has ended: who writes after that would end the whole server. */
  readonly write: (value: unknown) => void;
  readonly end: () => void;
  /** Runs once: when `end` is called, or when the client has gone. */
  readonly onEnd: (act: () => void) => void;
}

/** Begins an answer of JSON lines. */
export function startLines(response: ServerResponse): LineStream {
  const acts: Array<() => void> = [];
  let isOver = false;
  const over = () => {
    isOver = true;
    for (const act of acts.splice(0)) act();
  };
  response.once('close', over);
  response.writeHead(200, { 'Content-Type': 'application/json' });
  response.flushHeaders();
  return {
    write: (value) => {
      if (!isOver) response.write(`${JSON.stringify(value)}\n`);
    },
    end: () => {
      over();
      response.end();
    },
    onEnd: (act) => {
      if (isOver) act();
      else acts.push(act);
    },
  };
}

/** Answers what a handler threw; anything but a `Refusal` is a fault of the stand-in itself. */
export function sendFailure(response: ServerResponse, error: unknown): void {
  const refusal =
    error instanceof Refusal
      ? error
      : new Refusal(
          500,
          'InternalError',
          `this stand-in failed: ${error instanceof Error ? error.stack : String(error)}`,
        );
  if (response.headersSent) response.destroy();
  else sendJson(response, refusal.code, refusal.toStatus());
}
