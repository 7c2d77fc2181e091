import { createHash } from 'node:crypto';
import { loadAssets, toAsset, versionOf, type Asset } from './assets.js';

/** The page and all it loads. */
export interface Playground {
  page: Asset;
  /** The Content-Security-Policy under which the page runs. */
  policy: string;
  /** In the path of every asset, which is therefore never stale. */
  version: string;
  assets: ReadonlyMap<string, Asset>;
}

/** Loaded with the page, so that they needn't wait for one another. */
const LIBRARIES = ['lib/marked.js', 'lib/purify.js', 'lib/highlight/es/core.min.js'];

/** Reads the page and fills in what depends on its files. */
export function loadPlayground(): Playground {
  const assets = loadAssets();
  const template = assets.get('index.html')!;
  assets.delete('index.html');
  const version = versionOf(assets);
  const folder = `playground/${version}/`;
  const importMap = JSON.stringify({
    imports: {
      marked: `./${folder}lib/marked.js`,
      dompurify: `./${folder}lib/purify.js`,
      '@highlightjs/cdn-assets/': `./${folder}lib/highlight/`,
    },
  });
  // What the page names itself is loaded anyway.
  const modules = [...assets.keys()].filter(
    (path) => /^[\w-]+\.js$/.test(path) && !template.body.includes(`/${path}"`),
  );
  const head = [
    `<script type="importmap">${importMap}</script>`,
    ...[...modules, ...LIBRARIES].map(
      (path) => `<link rel="modulepreload" href="${folder}${path}" />`,
    ),
  ];
  const html = template.body
    .toString()
    .replace('<!-- modules -->', () => head.join('\n    '))
    .replaceAll('playground/version/', folder);
  const page = toAsset('index.html', Buffer.from(html));
  return { page, policy: policyOf(importMap), version, assets };
}

/**
 * The page shows what models wrote: nothing of that may run, load or send anything. Strings become
 * markup through DOMPurify alone.
 */
function policyOf(importMap: string): string {
  const hash = createHash('sha256').update(importMap).digest('base64');
  return [
    "default-src 'none'",
    `script-src 'self' 'sha256-${hash}'`,
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    'trusted-types dompurify',
  ].join('; ');
}
