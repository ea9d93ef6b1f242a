import { ConfigurationError, messageOf, Secret } from '#base';
import type { EndpointSettings } from '#chain';
import { readTrustedText } from '#infrastructure';

type Headers = ReadonlyMap<string, Secret>;

/** Headers of full nodes: each belongs to one node, because its value is a key that no other node may see. */
export interface HeadersFile {
  readonly file: string;
  /** Before the first heading: allowed with a single endpoint. */
  readonly unassigned: Headers;
  /** By the URL of the heading. */
  readonly byUrl: ReadonlyMap<string, Headers>;
}

/**
 * Reads a file with one `Name: value` a line; a line `[https://node.example]` begins the headers of that endpoint. Empty
 * lines and lines that begin with # are ignored. Throws `DAAS_HEADERS_FILE_EXPOSED` when others can read the file,
 * `DAAS_HEADERS_FILE_UNREADABLE` and `DAAS_HEADERS_INVALID`, each with exit code 78 and without a value.
 */
export async function readHeadersFile(file: string): Promise<HeadersFile> {
  const unassigned = new Map<string, Secret>();
  const byUrl = new Map<string, Map<string, Secret>>();
  let section = unassigned;
  for (const [index, line] of (await readText(file)).split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const heading = /^\[(.*)\]\s*$/.exec(line)?.[1];
    if (heading !== undefined) {
      section = new Map();
      byUrl.set(headingUrl(heading, `${file} line ${index + 1}`), section);
      continue;
    }
    const [, name = '', value = ''] = /^([^:]+):(.*)$/.exec(line) ?? [];
    addHeader(section, name.trim(), value.trim(), `${file} line ${index + 1}`);
  }
  return { file, unassigned, byUrl };
}

async function readText(file: string): Promise<string> {
  try {
    return await readTrustedText(file, {
      what: 'the headers file',
      origin: 'chain.headersFile',
      exposedCode: 'DAAS_HEADERS_FILE_EXPOSED',
    });
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    throw new ConfigurationError(
      'DAAS_HEADERS_FILE_UNREADABLE',
      `the headers file ${file} cannot be read: ${messageOf(cause)}; check its path, owner and mode`,
      { cause, details: { file } },
    );
  }
}

/**
 * Gives each endpoint its headers. Throws `DAAS_HEADERS_UNASSIGNED` (exit 78) for headers without an endpoint when there
 * are several: a key of one provider must not reach another.
 */
export function assignHeaders(
  urls: readonly string[],
  { file, unassigned, byUrl }: HeadersFile,
): EndpointSettings[] {
  if (unassigned.size > 0) assertSingleEndpoint(urls, file);
  const assigned = urls.map((url) => {
    const own = byUrl.get(sameUrl(url));
    const headers = own || unassigned.size > 0 ? new Map([...unassigned, ...(own ?? [])]) : undefined;
    return { url, headers };
  });
  if (byUrl.size > 0 && !urls.some((url) => byUrl.has(sameUrl(url))))
    throw new ConfigurationError(
      'DAAS_HEADERS_UNASSIGNED',
      `the headings of ${file} (${[...byUrl.keys()].join(', ')}) name none of the endpoints ${urls.join(', ')}: write the URL of an endpoint in brackets`,
      { details: { file } },
    );
  return assigned;
}

/** Throws `DAAS_HEADERS_UNASSIGNED` (exit 78); `origin` says where the headers come from. */
export function assertSingleEndpoint(urls: readonly string[], origin: string): void {
  if (urls.length < 2) return;
  throw new ConfigurationError(
    'DAAS_HEADERS_UNASSIGNED',
    `${origin} has headers for the full nodes and there are ${urls.length} endpoints: write [${urls[0]}] above those of that endpoint in chain.headersFile (--headers-file), so that no other node sees a key`,
    { details: { origin, endpoints: urls.length } },
  );
}

/** Headers of the setting `chain.headers`. */
export function headersOf(given: Readonly<Record<string, Secret>>): Headers {
  const headers = new Map<string, Secret>();
  for (const [name, value] of Object.entries(given))
    addHeader(headers, name, value.reveal().trim(), `chain.headers '${name}'`);
  return headers;
}

/** Two spellings of one URL are the same endpoint. */
export function sameUrl(text: string): string {
  return URL.parse(text)?.href.replace(/\/$/, '') ?? text;
}

function headingUrl(text: string, origin: string): string {
  if (/^https?:$/.test(URL.parse(text)?.protocol ?? '')) return sameUrl(text);
  throw new ConfigurationError(
    'DAAS_HEADERS_INVALID',
    `${origin} is not the heading of an endpoint: write its URL in brackets, such as [https://fullnode.testnet.sui.io:443]`,
    { details: { origin } },
  );
}

/** Headers of HTTP and gRPC themselves cannot be set. */
const RESERVED =
  /^(?:content-.*|host|connection|transfer-encoding|te|trailer|upgrade|proxy-.*|grpc-.*|x-grpc-web)$/i;

function addHeader(headers: Map<string, Secret>, name: string, value: string, origin: string): void {
  const isName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) && !RESERVED.test(name);
  if (!isName || !/^[\x20-\x7e]+$/.test(value))
    throw new ConfigurationError(
      'DAAS_HEADERS_INVALID',
      `${origin} is not a header that can be sent: write 'Name: value' in ASCII, such as 'x-api-key: …'`,
      { details: { origin } },
    );
  headers.set(name.toLowerCase(), new Secret(value));
}
