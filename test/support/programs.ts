import { describe } from '@jest/globals';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where a program is, by the PATH. */
export function pathOf(program: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.map((folder) => join(folder, program)).find(isExecutable);
}

/** Describes what needs a program: without it that is skipped, but not in CI, where it fails. */
export function describeWith(program: string, title: string, tests: () => void): void {
  if (pathOf(program) !== undefined || process.env.CI) describe(title, tests);
  else describe.skip(`${title} (there is no ${program} on the PATH)`, tests);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
