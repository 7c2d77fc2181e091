import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startApp, type RunningApp } from '../support/app.js';
import { open } from '../support/http.js';
import {
  answerOf,
  ask,
  eventsOf,
  runIdOf,
  settled,
  textOfEvents,
  type Answer,
} from '../support/runs.js';
import { startUpstream, type Upstream } from '../support/upstream/index.js';

export interface TargetReport {
  target: string;
  state: string;
  failures: number;
  active: number;
  waiting: number;
}

/** A provider of the file at an upstream, with further settings in YAML's flow style. */
export function provider(
  name: string,
  { url }: { url: string },
  settings = '',
  type = 'openai',
): string {
  const base = type === 'openai' ? `${url}/v1` : url;
  const key = type === 'ollama' ? '' : ', api_key: key';
  const more = settings && `, ${settings}`;
  return `${name}: { type: ${type}, base_url: '${base}'${key}, models: [text]${more} }`;
}

/** The application with a configuration file, and two upstreams: the providers `one` and `two`. */
export class Routes {
  app!: RunningApp;
  private readonly directory = mkdtempSync(join(tmpdir(), 'sluice-'));
  private readonly file = join(this.directory, 'sluice.yaml');

  private constructor(
    readonly one: Upstream,
    readonly two: Upstream,
  ) {}

  static async create(): Promise<Routes> {
    return new Routes(await startUpstream(), await startUpstream());
  }

  /** @param aliases lines such as `a: { targets: [one/text] }` */
  write(providers: string[], aliases: string[], rest = 'breaker: off') {
    const indented = (lines: string[]) => lines.map((line) => `  ${line}`);
    const sections = ['providers:', ...indented(providers), 'models:', ...indented(aliases), rest];
    writeFileSync(this.file, sections.join('\n'));
  }

  /**
   * @param settings of both providers, in YAML's flow style
   * @param rest the other sections of the file
   */
  async start(aliases: string[], settings: { one?: string; two?: string } = {}, rest?: string) {
    const { one, two } = this;
    this.write(
      [provider('one', one, settings.one), provider('two', two, settings.two)],
      aliases,
      rest,
    );
    await this.boot();
  }

  async boot() {
    this.app = await startApp({ CONFIG_FILE: this.file });
  }

  async stop() {
    await this.app.close();
    this.one.reset();
    this.two.reset();
  }

  async close() {
    rmSync(this.directory, { recursive: true });
    await this.one.close();
    await this.two.close();
  }

  /** The answer to one request in the native dialect, and what became of its run. */
  async answer(model: string) {
    const { port } = this.app;
    const call = ask(port, model);
    const { status, headers, body } = await answerOf<{ error: { code: string } }>(call);
    const events = status === 200 ? eventsOf(call) : [];
    return {
      ...{ status, headers, events },
      code: status === 200 ? undefined : body.error.code,
      text: textOfEvents(events),
      state: await settled(port, await runIdOf(call)),
    };
  }

  async ready(): Promise<Answer<{ status: string; targets: TargetReport[] }>> {
    return answerOf(open({ port: this.app.port, path: '/health/ready?verbose' }));
  }

  async healthOf(name: string): Promise<TargetReport | undefined> {
    const { body } = await this.ready();
    return body.targets.find(({ target }) => target === name);
  }
}
