import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigFile } from '../../src/config/file/config-file.js';
import type { RunningApp } from './app.js';

/** A `CONFIG_FILE` of the test's own. */
export interface TestConfigFile {
  path: string;
  write(text: string): Promise<void>;
  /** Changes the file and has instances read it, as SIGHUP does. */
  reload(text: string, ...instances: RunningApp[]): Promise<void>;
  remove(): Promise<void>;
}

export async function createConfigFile(text: string): Promise<TestConfigFile> {
  const directory = await mkdtemp(join(tmpdir(), 'sluice-config-'));
  const path = join(directory, 'sluice.yaml');
  const file: TestConfigFile = {
    path,
    write: (content) => writeFile(path, content),
    async reload(content, ...instances) {
      await file.write(content);
      for (const { app } of instances) app.get(ConfigFile).reload();
    },
    remove: () => rm(directory, { recursive: true }),
  };
  await file.write(text);
  return file;
}
