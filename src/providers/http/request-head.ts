import { validateHeaderName, validateHeaderValue } from 'node:http';

/**
 * The lines before a request's body (RFC 9112 §3 and §5).
 * @param target what is asked for: a path, a URL of a proxy, or a host and a port of its tunnel
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
