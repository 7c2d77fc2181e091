import { expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { eventually } from '../support/eventually.js';
import { startInstance } from '../support/instances.js';

const CLIENTS = 1_000;

/** Linux bounds what any program asks for. */
const allowed = Number(readFileSync('/proc/sys/net/core/somaxconn', 'utf8'));
const itWhereAllowed = allowed > CLIENTS ? it : it.skip;

itWhereAllowed(
  'lets a thousand clients connect while it accepts none',
  async () => {
    const instance = await startInstance({});
    instance.process.kill('SIGSTOP');
    let connected = 0;
    const sockets = Array.from({ length: CLIENTS }, () =>
      connect(instance.port, '127.0.0.1', () => (connected += 1)).on('error', () => undefined),
    );
    try {
      await eventually(() => expect(connected).toBe(CLIENTS), 5_000);
    } finally {
      for (const socket of sockets) socket.destroy();
      await instance.kill();
    }
  },
  60_000,
);
