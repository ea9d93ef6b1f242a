import { ConfigurationError, messageOf, Secret } from '#base';
import { readTrustedText } from '#infrastructure';

/**
 * Headers of a file with one `Name: value` a line, empty lines and lines that begin with # left out. Their values are keys:
 * the file must be its owner's alone (`DAAS_HEADERS_FILE_EXPOSED`). Throws `DAAS_HEADERS_FILE_UNREADABLE` and
 * `DAAS_HEADERS_INVALID`, each with exit code 78. No message repeats a value.
 */
export async function readHeadersFile(file: string): Promise<ReadonlyMap<string, Secret>> {
  let text: string;
  try {
    text = await readTrustedText(file, {
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
  const headers = new Map<string, Secret>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [, name = '', value = ''] = /^([^:]+):(.*)$/.exec(line) ?? [];
    addHeader(headers, name.trim(), value.trim(), `${file} line ${index + 1}`);
  }
  return headers;
}

/** Those of the setting `chain.headers`. */
export function headersOf(given: Readonly<Record<string, Secret>>): ReadonlyMap<string, Secret> {
  const headers = new Map<string, Secret>();
  for (const [name, value] of Object.entries(given))
    addHeader(headers, name, value.reveal().trim(), `chain.headers '${name}'`);
  return headers;
}

/** Headers of the protocol itself cannot be set. */
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
