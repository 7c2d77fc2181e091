import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

/** A file of the page, as it is sent. */
export interface Asset {
  type: string;
  body: Buffer;
  gzip: Buffer;
  /** Weak, as it is the same for both encodings. */
  etag: string;
}

/** From the package's root, so that it is the same folder for `src` and for `dist`. */
const PUBLIC = fileURLToPath(new URL('../../src/playground/public/', import.meta.url));

/** What highlights the code that models write most; the page loads one when it meets it. */
const LANGUAGES = ['bash', 'diff', 'go', 'java', 'javascript', 'json', 'python', 'rust', 'sql']
  .concat(['typescript', 'xml', 'yaml'])
  .map((name) => `languages/${name}.min.js`);

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Everything the page consists of, by its path: its own files, and its libraries under `lib/`. */
export function loadAssets(): Map<string, Asset> {
  const own = readdirSync(PUBLIC)
    .filter((name) => extname(name) in TYPES)
    .map((name): [string, string] => [name, join(PUBLIC, name)]);
  const files = [...own, ...libraries()];
  return new Map(files.map(([path, file]) => [path, toAsset(path, readFileSync(file))]));
}

/** Changes with any of the files. */
export function versionOf(assets: ReadonlyMap<string, Asset>): string {
  return digest([...assets.values()].map(({ etag }) => etag).join());
}

export function toAsset(path: string, body: Buffer): Asset {
  return {
    type: TYPES[extname(path)]!,
    body,
    gzip: gzipSync(body, { level: 9 }),
    etag: `W/"${digest(body)}"`,
  };
}

/** The libraries as they were installed. */
function libraries(): [path: string, file: string][] {
  const { resolve } = createRequire(import.meta.url);
  const highlight = dirname(resolve('@highlightjs/cdn-assets/es/core.min.js'));
  return [
    ['lib/marked.js', resolve('marked')],
    ['lib/purify.js', resolve('dompurify/purify.min.js')],
    ...['core.min.js', ...LANGUAGES].map((name): [string, string] => [
      `lib/highlight/es/${name}`,
      join(highlight, name),
    ]),
  ];
}

function digest(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('base64url').slice(0, 16);
}
