import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { ConfigFile } from '../../src/config/file/config-file.js';
import type { RunningApp } from './app.js';

/** Its text, or its sections. */
type Content = string | object;

/** A `CONFIG_FILE` of the test's own. */
export interface TestConfigFile {
  path: string;
  write(content: Content): Promise<void>;
  /** Changes the file and has instances read it, as SIGHUP does. */
  reload(content: Content, ...instances: RunningApp[]): Promise<void>;
  remove(): Promise<void>;
}

export async function createConfigFile(content: Content): Promise<TestConfigFile> {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-config-'));
  const path = join(directory, 'sluice.yaml');
  const file: TestConfigFile = {
    path,
    write: (changed) => writeFile(path, typeof changed === 'string' ? changed : stringify(changed)),
    async reload(changed, ...instances) {
      await file.write(changed);
      for (const { app } of instances) app.get(ConfigFile).reload();
    },
    remove: () => rm(directory, { recursive: true }),
  };
  await file.write(content);
  return file;
}
