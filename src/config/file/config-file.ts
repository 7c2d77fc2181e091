import { Logger, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import { readFileSync } from 'node:fs';
import { Subject } from 'rxjs';
import { ConfigError, type Config } from '../config.js';
import { settle, type Settings } from '../settings.js';
import { findAlias, flawsOfTargets, splitName } from './aliases.js';
import { ConfigDocument } from './config-document.js';
import { fileSchema } from './file.schema.js';
import type { Flaw } from './flaw.js';
import { flawsOfKeys } from './keys.schema.js';

/** While a file is being written it is empty for a moment: taken as it is, nobody would have a key. */
const EMPTIED: Flaw = { path: [], message: 'expected something in it, as before, or {}' };

/**
 * The settings of the environment and of `CONFIG_FILE`, which is read again on SIGHUP. A file that
 * can't be worked with changes nothing then; at boot it stops the start.
 */
export class ConfigFile implements OnModuleInit, OnApplicationShutdown {
  private readonly logger = new Logger(ConfigFile.name);
  private settings: Settings;
  private isEmpty = true;
  private readonly reloads = new Subject<Settings>();
  /** Emits the new settings after every reload. */
  readonly changes = this.reloads.asObservable();

  /**
   * @param environment what `${NAME}` is filled from, at every reload
   * @throws {ConfigError} when the file can't be read or worked with
   */
  constructor(
    private readonly config: Config,
    private readonly environment: NodeJS.ProcessEnv,
  ) {
    this.settings = this.read();
  }

  get current(): Settings {
    return this.settings;
  }

  onModuleInit() {
    if (this.config.CONFIG_FILE !== undefined) process.on('SIGHUP', this.reload);
  }

  onApplicationShutdown() {
    process.off('SIGHUP', this.reload);
  }

  /** Says in the log what became of it. */
  readonly reload = () => {
    const { CONFIG_FILE } = this.config;
    try {
      const settings = this.read();
      this.expectDefaultModel(settings);
      this.settings = settings;
    } catch (error) {
      const { message } = error as Error;
      this.logger.error(`${CONFIG_FILE} is not taken, and what was read before stays:\n${message}`);
      return;
    }
    this.logger.log(`${CONFIG_FILE} is read anew.`);
    this.reloads.next(this.settings);
  };

  private read(): Settings {
    const { CONFIG_FILE } = this.config;
    if (CONFIG_FILE === undefined) return settle(this.config, fileSchema.parse({}));
    const document = new ConfigDocument(CONFIG_FILE, readText(CONFIG_FILE));
    if (!this.isEmpty && document.isEmpty) document.expectNone([EMPTIED]);
    const sections = document.parse(fileSchema, this.environment);
    const settings = settle(this.config, sections);
    document.expectNone([
      ...flawsOfTargets(settings),
      ...flawsOfKeys(sections.keys, this.config.API_KEYS),
    ]);
    this.isEmpty = document.isEmpty;
    return settings;
  }

  /**
   * A default model whose alias or provider went away would become any model of that name at the
   * first provider, for everybody who names none.
   */
  private expectDefaultModel(settings: Settings) {
    const { CONFIG_FILE, DEFAULT_MODEL } = this.config;
    if (DEFAULT_MODEL === undefined || isKnown(settings, DEFAULT_MODEL)) return;
    if (!isKnown(this.settings, DEFAULT_MODEL)) return;
    throw new ConfigError(
      `DEFAULT_MODEL: expected its alias or provider to stay in ${CONFIG_FILE}`,
    );
  }
}

function isKnown({ aliases, providers }: Settings, name: string): boolean {
  if (findAlias(aliases, name)) return true;
  const [provider] = splitName(name);
  return providers.some((candidate) => candidate.name === provider);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ConfigError(`CONFIG_FILE: expected a file that can be read, ${path} can't (${code})`);
  }
}
