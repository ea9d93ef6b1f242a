/** Base64 by Node's own decoder: a published package is tens of kilobytes of it, read several times. */
export const fromBase64 = (text: string): Uint8Array => Buffer.from(text, 'base64');
