import { createHash, randomBytes } from 'node:crypto';
import { chmod, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Dispatcher, EnvHttpProxyAgent, fetch, type Response } from 'undici';
import { DaasError, describeNetworkFailure } from '#base';
import { boundedBody, syncDirectory, writeFailure } from '#infrastructure';
import type { DownloadStep } from './steps.ts';

/** A list of checksums has a few lines. */
const longestListBytes = 64 * 1024;
/** k3s has some 80 MB: what goes on for longer fills the disk. */
const longestProgramBytes = 512 * 1024 * 1024;
const deadlineMs = 15 * 60_000;
/** A release of GitHub redirects once, a mirror may before it. */
const longestDetour = 5;

/** Where a download goes through. */
interface Way {
  readonly dispatcher: Dispatcher;
  readonly signal: AbortSignal;
}

/**
 * Fetches a program and checks it before it has its name. Throws `DAAS_INSTALL_DOWNLOAD_FAILED`,
 * `DAAS_INSTALL_CHECKSUM_DIFFERS`, `DAAS_DISK_FULL`, `DAAS_FILE_UNWRITABLE`.
 * @param dispatcher default: by HTTPS_PROXY and NO_PROXY, which count as for curl
 */
export async function download(
  place: string,
  step: DownloadStep,
  dispatcher: Dispatcher = new EnvHttpProxyAgent(),
): Promise<void> {
  const way = { dispatcher, signal: AbortSignal.timeout(deadlineMs) };
  const expected =
    typeof step.sha256 === 'string' ? step.sha256.toLowerCase() : await listedSum(step.sha256, way);
  await removeHalves(place);
  const temporary = `${place}.${randomBytes(8).toString('hex')}.download`;
  try {
    const found = await save(temporary, bodyOf(await get(step.url, way), step.url, longestProgramBytes));
    if (found !== expected)
      throw new DaasError(
        'DAAS_INSTALL_CHECKSUM_DIFFERS',
        `${step.url} has the SHA-256 ${found}, expected ${expected}: it was changed on its way, or is another version. Nothing was installed`,
        { details: { url: step.url, found, expected } },
      );
    await writing(place, async () => {
      await chmod(temporary, step.mode);
      await rename(temporary, place);
      await syncDirectory(dirname(place));
    });
  } finally {
    await rm(temporary, { force: true });
  }
}

/** What a download that was killed has left: the name is another each time, and the disk is not endless. */
async function removeHalves(place: string): Promise<void> {
  const directory = dirname(place);
  const form = /^\.[0-9a-f]{16}\.download$/;
  for (const name of await readdir(directory)) {
    if (name.startsWith(basename(place)) && form.test(name.slice(basename(place).length)))
      await rm(join(directory, name), { force: true });
  }
}

/** Writes a new file, and returns the SHA-256 of what is in it. */
async function save(path: string, body: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  // A file or a link that somebody put there is not written to.
  const file = await writing(path, () => open(path, 'wx', 0o600));
  try {
    for await (const chunk of body) {
      hash.update(chunk);
      await writing(path, () => file.writeFile(chunk));
    }
    await writing(path, () => file.sync());
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}

async function writing<Result>(path: string, write: () => Promise<Result>): Promise<Result> {
  try {
    return await write();
  } catch (cause) {
    throw writeFailure(path, cause);
  }
}

async function listedSum(
  { listUrl, name }: { readonly listUrl: string; readonly name: string },
  way: Way,
): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bodyOf(await get(listUrl, way), listUrl, longestListBytes)) chunks.push(chunk);
  const sum = Buffer.concat(chunks)
    .toString('utf8')
    .split('\n')
    .map((line) => /^([0-9a-f]{64})\s+\*?(.+)$/i.exec(line.trim()))
    .find((match) => match?.[2] !== undefined && basename(match[2]) === name)?.[1];
  if (sum === undefined) throw failed(listUrl, `it lists no SHA-256 of ${name}`);
  return sum.toLowerCase();
}

async function* bodyOf({ body }: Response, url: string, longestBytes: number): AsyncGenerator<Uint8Array> {
  if (!body) throw failed(url, 'the answer is empty');
  try {
    yield* boundedBody(body as AsyncIterable<Uint8Array>, longestBytes);
  } catch (cause) {
    throw failed(url, describeNetworkFailure(cause), cause);
  }
}

/** Follows redirects itself: a checksum that came in the clear, or a program, is whatever the network made of it. */
async function get(url: string, way: Way): Promise<Response> {
  let here = url;
  for (let detour = 0; detour <= longestDetour; detour += 1) {
    const response = await ask(here, url, way);
    if (response.ok) return response;
    const location = response.status >= 300 && response.status < 400 && response.headers.get('location');
    await response.body?.cancel();
    if (!location) throw failed(url, `HTTP ${response.status}`);
    const next = URL.parse(location, here);
    if (next?.protocol !== 'https:') throw failed(url, `it redirects to '${location}', which is not https`);
    here = next.href;
  }
  throw failed(url, `it redirects more than ${longestDetour} times`);
}

async function ask(here: string, url: string, way: Way): Promise<Response> {
  try {
    return await fetch(here, { redirect: 'manual', ...way });
  } catch (cause) {
    throw failed(url, describeNetworkFailure(cause), cause);
  }
}

function failed(url: string, why: string, cause?: unknown): DaasError {
  return new DaasError(
    'DAAS_INSTALL_DOWNLOAD_FAILED',
    `${url} cannot be fetched: ${why}. Check the version and the network, or put the binary there by hand and set INSTALL_K3S_DAAS_SKIP_DOWNLOAD=true`,
    { cause, isRetryable: true, details: { url } },
  );
}
