/** The parts of a Seal proof, decoded; nothing in them is believed yet. */
export interface CompactJws {
  /** Without the prefix. */
  readonly jws: string;
  readonly header: unknown;
  readonly claims: unknown;
}

const form = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/;

/** Takes `<prefix><compact JWS>` apart (RFC 7515, section 7.1); `undefined` for anything else. Never throws. */
export function splitCompactJws(text: string, prefix: string): CompactJws | undefined {
  if (!text.startsWith(prefix)) return undefined;
  const jws = text.slice(prefix.length);
  const [, header, claims] = form.exec(jws) ?? [];
  if (header === undefined || claims === undefined) return undefined;
  return { jws, header: decodeJson(header), claims: decodeJson(claims) };
}

function decodeJson(encoded: string): unknown {
  try {
    return JSON.parse(Buffer.from(encoded, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}
