/** The parts of a Seal proof; nothing in them is believed yet. */
export interface CompactJws {
  /** Without the prefix. */
  readonly jws: string;
  readonly encodedHeader: string;
  /** Decoded when it is asked for; `undefined` for what is not JSON. */
  header(): unknown;
  claims(): unknown;
}

const form = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/** Takes `<prefix><compact JWS>` apart (RFC 7515, section 7.1); `undefined` for anything else. Never throws. */
export function splitCompactJws(text: string, prefix: string): CompactJws | undefined {
  if (!text.startsWith(prefix)) return undefined;
  const jws = text.slice(prefix.length);
  if (!form.test(jws)) return undefined;
  const first = jws.indexOf('.');
  const second = jws.indexOf('.', first + 1);
  const encodedHeader = jws.slice(0, first);
  return {
    jws,
    encodedHeader,
    header: () => decodeJson(encodedHeader),
    claims: () => decodeJson(jws.slice(first + 1, second)),
  };
}

/** Each proof is decoded here, one at a time: memory of its own for each would be most of what it leaves to collect. */
const decoded = Buffer.alloc(4_096);

function decodeJson(encoded: string): unknown {
  try {
    if (encoded.length > decoded.length)
      return JSON.parse(Buffer.from(encoded, 'base64url').toString('utf8'));
    return JSON.parse(decoded.toString('utf8', 0, decoded.write(encoded, 'base64url')));
  } catch {
    return undefined;
  }
}
