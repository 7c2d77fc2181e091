import type { LoggerService, LogLevel } from '@nestjs/common';
import { pino, type Logger } from 'pino';
import { describeError, type ErrorDescription } from './describe-error.js';
import { LineWriter } from './line.writer.js';

/** Nest's levels under the names that log systems know. */
const LEVELS = {
  fatal: 'fatal',
  error: 'error',
  warn: 'warn',
  log: 'info',
  debug: 'debug',
  verbose: 'trace',
} as const satisfies Record<LogLevel, string>;

/** Who tells of every module and route at the start: that is for whoever looks for a fault there. */
const NEST = /^(NestFactory|NestApplication|InstanceLoader|RoutesResolver|RouterExplorer)$/;

/**
 * Nest's logger as lines of JSON on the standard output. An object that is logged becomes the fields
 * of its line.
 */
export class JsonLogger implements LoggerService {
  private readonly pino: Logger;

  constructor() {
    // Node has pipes and sockets not block as soon as it makes this stream of one, which nothing else needs
    // (https://docs.libuv.org/en/v1.x/pipe.html#c.uv_pipe_open).
    const lines = new LineWriter(process.stdout.fd);
    this.pino = pino(
      {
        // Nothing is said before the configuration is read; what keeps it from being read is thrown.
        level: 'fatal',
        base: undefined,
        timestamp: pino.stdTimeFunctions.isoTime,
        // An error is described already; pino's own way would make a plain object of its type.
        serializers: { err: (described: ErrorDescription) => described },
        formatters: { level: (level) => ({ level }) },
      },
      lines,
    );
  }

  /** @param levels the least important one counts */
  setLogLevels(levels: LogLevel[]) {
    const order = Object.keys(LEVELS) as LogLevel[];
    const least = Math.max(...levels.map((level) => order.indexOf(level)));
    this.pino.level = LEVELS[order[least]!];
  }

  fatal(message: unknown, ...rest: unknown[]) {
    this.write('fatal', message, rest);
  }

  error(message: unknown, ...rest: unknown[]) {
    this.write('error', message, rest);
  }

  warn(message: unknown, ...rest: unknown[]) {
    this.write('warn', message, rest);
  }

  log(message: unknown, ...rest: unknown[]) {
    this.write('log', message, rest);
  }

  debug(message: unknown, ...rest: unknown[]) {
    this.write('debug', message, rest);
  }

  verbose(message: unknown, ...rest: unknown[]) {
    this.write('verbose', message, rest);
  }

  /** @param rest what else there is to say, and at the end the name of who says it */
  private write(level: LogLevel, message: unknown, rest: unknown[]) {
    const last = rest.at(-1);
    const context = typeof last === 'string' ? last : undefined;
    const isOfNest = level === 'log' && context !== undefined && NEST.test(context);
    const write = LEVELS[isOfNest ? 'debug' : level];
    if (!this.pino.isLevelEnabled(write)) return;
    const fields = Object.assign({ context }, ...[message, ...rest].map(fieldsOf)) as object;
    this.pino[write](fields, typeof message === 'string' ? message : undefined);
  }
}

function fieldsOf(message: unknown): object | undefined {
  if (message instanceof Error) return { err: describeError(message) };
  return typeof message === 'object' && message !== null ? message : undefined;
}
