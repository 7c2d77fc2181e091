import { answers } from './answers.scenarios.js';
import type { Scenario } from './exchange.js';
import { faults } from './faults.scenarios.js';
import { framings } from './framing.scenarios.js';
import { refusals } from './refusals.scenarios.js';
import { transports } from './transport.scenarios.js';

export const scenarios = new Map<string, Scenario>(
  Object.entries({ ...answers, ...framings, ...refusals, ...faults, ...transports }),
);
