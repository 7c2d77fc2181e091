import { chromium, type Browser } from 'playwright-core';
import { pathOf } from './programs.js';

/** Keep Chromium from looking for its maker's services. */
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** A headless browser: the Chromium that is on the PATH. */
export function startBrowser(): Promise<Browser> {
  const executablePath = pathOf('chromium');
  if (executablePath === undefined) throw new Error('there is no chromium on the PATH');
  return chromium.launch({ executablePath, args: ARGS });
}
