import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { chmod, rename, rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { EnvHttpProxyAgent, fetch, type Response } from 'undici';
import { DaasError, describeNetworkFailure } from '#base';
import type { DownloadStep } from './steps.ts';

/** A list of checksums has a few lines. */
const longestListBytes = 64 * 1024;
const deadlineMs = 15 * 60_000;

/**
 * Fetches a program and checks it before it has its name. Throws `DAAS_INSTALL_DOWNLOAD_FAILED`,
 * `DAAS_INSTALL_CHECKSUM_DIFFERS`.
 */
export async function download(place: string, step: DownloadStep): Promise<void> {
  const expected = typeof step.sha256 === 'string' ? step.sha256.toLowerCase() : await listedSum(step.sha256);
  const temporary = `${place}.download`;
  try {
    const response = await get(step.url);
    const hash = createHash('sha256');
    const hashed = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        hash.update(chunk);
        done(null, chunk);
      },
    });
    if (!response.body) throw failed(step.url, 'the answer is empty');
    await pipeline(Readable.fromWeb(response.body), hashed, createWriteStream(temporary, { mode: 0o600 }));
    const found = hash.digest('hex');
    if (found !== expected)
      throw new DaasError(
        'DAAS_INSTALL_CHECKSUM_DIFFERS',
        `${step.url} has the SHA-256 ${found}, expected ${expected}: it was changed on its way, or is another version. Nothing was installed`,
        { details: { url: step.url, found, expected } },
      );
    await chmod(temporary, step.mode);
    await rename(temporary, place);
  } finally {
    await rm(temporary, { force: true });
  }
}

async function listedSum({
  listUrl,
  name,
}: {
  readonly listUrl: string;
  readonly name: string;
}): Promise<string> {
  const text = (await (await get(listUrl)).text()).slice(0, longestListBytes);
  const sum = text
    .split('\n')
    .map((line) => /^([0-9a-f]{64})\s+\*?(.+)$/i.exec(line.trim()))
    .find((match) => match?.[2] !== undefined && basename(match[2]) === name)?.[1];
  if (sum === undefined) throw failed(listUrl, `it lists no SHA-256 of ${name}`);
  return sum.toLowerCase();
}

async function get(url: string): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, {
      redirect: 'follow',
      signal: AbortSignal.timeout(deadlineMs),
      // HTTPS_PROXY and NO_PROXY count, as for curl.
      dispatcher: new EnvHttpProxyAgent(),
    });
  } catch (cause) {
    throw failed(url, describeNetworkFailure(cause), cause);
  }
  if (!response.ok) throw failed(url, `HTTP ${response.status}`);
  return response;
}

function failed(url: string, why: string, cause?: unknown): DaasError {
  return new DaasError(
    'DAAS_INSTALL_DOWNLOAD_FAILED',
    `${url} cannot be fetched: ${why}. Check the version and the network, or put the binary there by hand and set INSTALL_K3S_DAAS_SKIP_DOWNLOAD=true`,
    { cause, isRetryable: true, details: { url } },
  );
}
