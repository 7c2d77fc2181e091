import { validateHeaderName, validateHeaderValue } from 'node:http';

/**
 * The lines before a request's body (RFC 9112 §3 and §5).
 * @param target what is asked for: a path; of a proxy, a URL, or a host and a port
 * @throws {TypeError} for what can't stand in a header
 */
export function requestHead(
  method: string,
  target: string,
  headers: Readonly<Record<string, string>>,
): string {
  let head = `${method} ${target} HTTP/1.1\r\n`;
  for (const name in headers) {
    const value = headers[name]!;
    validateHeaderName(name);
    validateHeaderValue(name, value);
    head += `${name}: ${value}\r\n`;
  }
  return `${head}\r\n`;
}

/** What a URL's user and password are as a header (RFC 7617); nothing where it has none. */
export function basicCredentials({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined;
  const credentials = `${decoded(username)}:${decoded(password)}`;
  return `Basic ${Buffer.from(credentials).toString('base64')}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A URL may have a bare percent sign.
    return text;
  }
}
