/** The parts of a Seal proof, decoded; nothing in them is believed yet. */
export interface CompactJws {
  /** Without the prefix. */
  readonly jws: string;
  readonly header: unknown;
  readonly claims: unknown;
}

const form = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;

/** Takes `<prefix><compact JWS>` apart (RFC 7515, section 7.1); `undefined` for anything else. Never throws. */
export function splitCompactJws(text: string, prefix: string): CompactJws | undefined {
  if (!text.startsWith(prefix)) return undefined;
  const jws = text.slice(prefix.length);
  if (!form.test(jws)) return undefined;
  const first = jws.indexOf('.');
  const header = jws.slice(0, first);
  const claims = jws.slice(first + 1, jws.indexOf('.', first + 1));
  return { jws, header: decodeJson(header), claims: decodeJson(claims) };
}

/** Every proof is decoded here, one at a time: memory for each would be most of what a heartbeat leaves to collect. */
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
