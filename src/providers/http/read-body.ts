import type { UpstreamResponse } from './connection.js';

/** The body of a refusal gets this long: the status was there before it. */
const REFUSAL_MS = 2_000;

const MAX_REFUSAL_BYTES = 65_536;

/**
 * Reads a body that is short.
 * @param maxBytes of a longer one, no more is read
 * @returns what came of it, and whether that is all
 */
export function readBody(
  response: UpstreamResponse,
  maxBytes: number,
): Promise<{ text: string; isWhole: boolean }> {
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    let length = 0;
    const finish = (isWhole: boolean) => {
      const text = Buffer.concat(parts).toString('utf8', 0, maxBytes);
      resolve({ text, isWhole: isWhole && length <= maxBytes });
    };
    response.read({
      onData: (bytes) => {
        if (length > maxBytes) return;
        parts.push(Buffer.from(bytes));
        length += bytes.length;
        if (length > maxBytes) response.destroy();
      },
      onEnd: () => finish(true),
      onError: () => finish(false),
    });
  });
}

/** Reads what a refusal says, as much of it as comes in time: the status alone says enough. */
export async function readRefusal(response: UpstreamResponse): Promise<string> {
  const timer = setTimeout(() => response.destroy(), REFUSAL_MS);
  const { text } = await readBody(response, MAX_REFUSAL_BYTES);
  clearTimeout(timer);
  return text;
}
