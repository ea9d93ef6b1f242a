/**
 * What keeps a text from being the address of a server: `https://host:port` and nothing else. A user or password in it would
 * reach logs and command lines, and a path would be ignored by some readers and not by others.
 */
export function httpsOriginProblem(text: string): string | undefined {
  const url = URL.parse(text);
  if (url?.protocol !== 'https:') return 'expected an https:// URL';
  if (url.username !== '' || url.password !== '' || /\/\/[^/]*@/.test(text))
    return 'expected no user or password in the URL: leave out what stands before @';
  if (!/^https:\/\/[^/?#\\\s]+$/i.test(text))
    return 'expected https://host:port, without a path, a query or a slash at the end';
  return undefined;
}

/** The text without what stands between `//` and `@` of a URL: it may be a password. */
export function maskUserInfo(text: string): string {
  return text.replaceAll(/(\b[a-z][a-z\d+.-]*:\/\/)[^\s/"'\\]*@/gi, '$1[secret]@');
}
