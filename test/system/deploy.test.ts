import { describe, expect, it } from '@jest/globals';
import { Ajv } from 'ajv';
import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { parseEnvironment } from '../../src/config/config.js';
import { pathOf } from '../support/programs.js';

const CHART = 'deploy/helm/sluice';

const DEFAULTS = parseEnvironment({});
const SHUTDOWN_SECONDS = (DEFAULTS.SHUTDOWN_DELAY_MS + DEFAULTS.SHUTDOWN_DRAIN_MS) / 1000;

interface ComposeService {
  environment?: Record<string, string | number>;
  stop_grace_period?: string;
  depends_on?: Record<string, unknown>;
}

/** What checks a file, where the machine has it. */
function itWith(program: string, title: string, test: () => void) {
  if (pathOf(program) !== undefined) it(title, test);
  else it.skip(`${title} (there is no ${program} on the PATH)`, test);
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

    it('names only services that there are', async () => {
      const { services } = await compose();
      for (const { depends_on = {} } of Object.values(services)) {
        for (const name of Object.keys(depends_on)) expect(services).toHaveProperty(name);
      }
    });
  });

  describe('helm/', () => {
    it('has values that its schema allows', async () => {
      const schema = JSON.parse(await readFile(`${CHART}/values.schema.json`, 'utf8')) as object;
      const validate = new Ajv({ allErrors: true }).compile(schema);
      validate(parse(await readFile(`${CHART}/values.yaml`, 'utf8')));
      expect(validate.errors).toBeNull();
    });

    itWith('helm', 'passes helm lint, with everything on', () => {
      const all =
        '--set=ingress.enabled=true,ingress.host=example.com,config.models.a.targets={demo}';
      execFileSync('helm', ['lint', '--strict', CHART, all]);
      execFileSync('helm', ['template', 'sluice', CHART, all]);
    });
  });

  itWith('systemd-analyze', 'sluice.service passes systemd-analyze verify', () => {
    execFileSync('systemd-analyze', ['verify', 'deploy/sluice.service']);
  });

  it('sluice.service waits longer than an instance takes to leave', async () => {
    const unit = await readFile('deploy/sluice.service', 'utf8');
    expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)![1])).toBeGreaterThan(SHUTDOWN_SECONDS);
  });
});
