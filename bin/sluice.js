#!/usr/bin/env node
// `npx sluice` in a checkout comes here. What it runs is built when it is not there yet;
// `npm run build` is for what was changed since.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
if (!existsSync(`${root}dist/cli/main.js`)) {
  console.error('Building, this once …');
  const tsc = `${root}node_modules/typescript/bin/tsc`;
  const { status } = spawnSync(process.execPath, [tsc, '--build', root], { stdio: [0, 2, 2] });
  if (status !== 0) {
    console.error('sluice is not built. In its folder, run: npm ci && npm run build');
    process.exit(1);
  }
}
await import('../dist/cli/main.js');
