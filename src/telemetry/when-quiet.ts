import { Logger } from '@nestjs/common';

const logger = new Logger('Telemetry');

/**
 * Tells of what is over when no socket has anything left to read: on a busy server the tokens of others
 * come first. As a rule nothing new is read before, so whoever was answered and then asks finds it told.
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
