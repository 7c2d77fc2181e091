import { describe, expect, it } from '@jest/globals';
import { Ajv } from 'ajv';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { parse } from 'yaml';
import { parseEnvironment } from '../../src/config/config.js';
import { startNginx } from '../support/balancers.js';
import { open } from '../support/http.js';
import { describeWith, pathOf } from '../support/programs.js';

const CHART = 'deploy/helm/sluice';

const DEFAULTS = parseEnvironment({});
const SHUTDOWN_SECONDS = (DEFAULTS.SHUTDOWN_DELAY_MS + DEFAULTS.SHUTDOWN_DRAIN_MS) / 1000;

interface ComposeService {
  image?: string;
  build?: object;
  pull_policy?: string;
  environment?: Record<string, string | number>;
  stop_grace_period?: string;
  depends_on?: Record<string, unknown>;
}

/** What checks a file, where the machine has it. */
function itWith(program: string, title: string, test: () => void) {
  const [name = '', ...args] = program.split(' ');
  const hasCommand = () => spawnSync(name, [...args, 'version']).status === 0;
  const isThere = pathOf(name) !== undefined && (args.length === 0 || hasCommand());
  if (isThere) it(title, test);
  else it.skip(`${title} (there is no ${program})`, test);
}

describe('deploy/', () => {
  describe('compose.yaml', () => {
    const compose = async () =>
      parse(await readFile('deploy/compose.yaml', 'utf8'), { merge: true }) as {
        services: Record<string, ComposeService>;
      };

    it('gives instances longer than they take to leave', async () => {
      const { services } = await compose();
      for (const name of ['sluice-1', 'sluice-2']) {
        const grace = /^(\d+)s$/.exec(services[name]!.stop_grace_period!)![1];
        expect(Number(grace)).toBeGreaterThan(SHUTDOWN_SECONDS);
      }
    });

    it('sets variables that there are, as .env.example has them', async () => {
      const { services } = await compose();
      const example = await readFile('.env.example', 'utf8');
      for (const name of Object.keys(services['sluice-1']!.environment!)) {
        expect(example).toMatch(new RegExp(`^${name}=`, 'm'));
      }
    });

    it('builds an image once, for all that have it', async () => {
      const { services } = await compose();
      const own = Object.values(services).filter(({ image }) => image === 'sluice');
      expect(own.filter(({ build }) => build !== undefined)).toHaveLength(1);
      for (const { build, pull_policy } of own) if (!build) expect(pull_policy).toBe('never');
    });

    itWith('docker compose', 'passes docker compose config', () => {
      const env = { ...process.env, API_KEYS: 'me:sk-me' };
      execFileSync('docker', ['compose', '-f', 'deploy/compose.yaml', 'config', '-q'], { env });
    });

    it('names only services that there are', async () => {
      const { services } = await compose();
      for (const { depends_on = {} } of Object.values(services)) {
        for (const name of Object.keys(depends_on)) expect(services).toHaveProperty(name);
      }
    });
  });

  describe('helm/', () => {
    const valuesSchema = async () => {
      const schema = JSON.parse(await readFile(`${CHART}/values.schema.json`, 'utf8')) as object;
      return new Ajv({ allErrors: true }).compile(schema);
    };
    const values = async () =>
      parse(await readFile(`${CHART}/values.yaml`, 'utf8')) as { env: Record<string, string> };

    it('has values that its schema allows', async () => {
      const validate = await valuesSchema();
      validate(await values());
      expect(validate.errors).toBeNull();
    });

    it('takes no value of a variable for something else than its text', async () => {
      const validate = await valuesSchema();
      // What Helm reads where somebody wrote on, or 20000000, which it would print as 2e+07.
      for (const value of [true, 20_000_000]) expect(validate({ env: { A: value } })).toBe(false);
    });

    it("sets no variable to nothing, which would go before the secret's", async () => {
      const { env } = await values();
      expect(Object.values(env)).not.toContain('');
    });

    itWith('helm', 'passes helm lint, with everything on', () => {
      const all =
        '--set=ingress.enabled=true,ingress.host=example.com,config.models.a.targets={demo}';
      execFileSync('helm', ['lint', '--strict', CHART, all]);
      execFileSync('helm', ['template', 'sluice', CHART, all]);
    });
  });

  it('starts the server as npm start does', async () => {
    const { scripts } = JSON.parse(await readFile('package.json', 'utf8')) as {
      scripts: Record<string, string>;
    };
    const [, command = ''] = /exec (node .*)$/.exec(scripts.start!)!;
    const image = await readFile('deploy/Dockerfile', 'utf8');
    expect(JSON.parse(/^CMD (.*)$/m.exec(image)![1]!)).toEqual(command.split(' '));
    const unit = await readFile('deploy/sluice.service', 'utf8');
    expect(/^ExecStart=(.*)$/m.exec(unit)![1]).toBe(`/usr/bin/env ${command}`);
    expect(await readFile('README.md', 'utf8')).toContain(` ${command}\n`);
  });

  itWith('systemd-analyze', 'sluice.service passes systemd-analyze verify', () => {
    execFileSync('systemd-analyze', ['verify', 'deploy/sluice.service']);
  });

  it('sluice.service reloads only with a file to read again: else SIGHUP ends it', async () => {
    const unit = await readFile('deploy/sluice.service', 'utf8');
    const [, script = ''] = /^ExecReload=\/bin\/sh -c '(.*)'$/m.exec(unit)!;
    const child = spawn('sleep', ['60']);
    const reload = (env: NodeJS.ProcessEnv) =>
      spawnSync('/bin/sh', ['-c', script], { env: { ...env, MAINPID: String(child.pid) } }).status;
    expect(reload({})).not.toBe(0);
    expect(child.kill(0)).toBe(true);
    const exited = once(child, 'exit');
    expect(reload({ CONFIG_FILE: '/etc/sluice/sluice.yaml' })).toBe(0);
    expect(await exited).toEqual([null, 'SIGHUP']);
  });

  it('sluice.service waits longer than an instance takes to leave', async () => {
    const unit = await readFile('deploy/sluice.service', 'utf8');
    expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)![1])).toBeGreaterThan(SHUTDOWN_SECONDS);
  });

  describeWith('nginx', 'nginx/', () => {
    it.each([
      ['repeats', '/v1/runs/run_1/events', 2],
      ['never repeats', '/v1/chat/stream?q=hi', 1],
      ['never repeats', '/v1/chat/stream/?q=hi', 1],
      ['never repeats', '/V1/Chat/Stream?q=hi', 1],
    ])('%s GET %s where an instance breaks off', async (_what, path, count) => {
      let asked = 0;
      const instances = [0, 1].map(() =>
        createServer((socket) =>
          socket.once('data', () => {
            asked += 1;
            socket.destroy();
          }),
        ).listen(0, '127.0.0.1'),
      );
      await Promise.all(instances.map((instance) => once(instance, 'listening')));
      const [one, two] = instances.map((instance) => (instance.address() as AddressInfo).port);
      const nginx = await startNginx([one!, two!]);
      const call = open({ port: nginx.port, path });
      expect(await call.status).toBe(502);
      expect(asked).toBe(count);
      await nginx.close();
      for (const instance of instances) instance.close();
    });

    it('may open as many files as it may have connections', async () => {
      const text = await readFile('deploy/nginx/nginx.conf', 'utf8');
      const number = (name: string) => Number(new RegExp(`${name} (\\d+);`).exec(text)?.[1]);
      expect(number('worker_rlimit_nofile')).toBeGreaterThan(number('worker_connections'));
    });
  });
});
