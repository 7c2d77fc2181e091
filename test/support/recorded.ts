import { describe } from '@jest/globals';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Beside the repository; it is no part of it. */
const FOLDER = '../shared/recorded';

/** What a real service sent. */
export interface Recording {
  name: string;
  bytes: Buffer;
}

/** The recorded streams that are there; each a whole body of server-sent events. */
export const recordings: readonly Recording[] = (existsSync(FOLDER) ? readdirSync(FOLDER) : [])
  .filter((file) => /\.(chunks\.txt|sse)$/.test(file))
  .map((file) => ({
    name: file.replace(/\.(chunks\.txt|sse)$/, ''),
    bytes: bodyOf(file, readFileSync(join(FOLDER, file), 'utf8')),
  }));

/** Describes what needs them; where there are none, that is skipped. */
export function describeRecorded(title: string, tests: (recording: Recording) => void): void {
  if (recordings.length > 0) describe.each(recordings)(`${title}: $name`, tests);
  else describe.skip(`${title} (there is no ${FOLDER})`, () => tests(NONE));
}

const NONE: Recording = { name: 'none', bytes: Buffer.alloc(0) };

/** @param text a chunk a line or, of an `.sse`, the body as it came */
function bodyOf(file: string, text: string): Buffer {
  if (file.endsWith('.sse')) return Buffer.from(text);
  const chunks = text.split('\n').filter((line) => line !== '');
  return Buffer.from([...chunks, '[DONE]'].map((chunk) => `data: ${chunk}\n\n`).join(''));
}
