import { Logger } from '@nestjs/common';

const logger = new Logger('Telemetry');

/**
 * Tells logs and metrics of what is over when no socket has anything left to read: on a busy server the
 * tokens of others come first. Not for what a client may ask for next, which it can before it is told.
 */
export function whenQuiet(tell: () => void) {
  setImmediate(() => {
    try {
      tell();
    } catch (error) {
      logger.error(error);
    }
  });
}
