import { Controller, Get } from '@nestjs/common';
import { Public } from '../access/public.decorator.js';

@Public()
@Controller('health')
export class HealthController {
  @Get()
  health() {
    return { status: 'ok', uptime_seconds: Math.floor(process.uptime()) };
  }

  /** The process answers. A failure here is a reason to restart it. */
  @Get('live')
  live() {
    return { status: 'ok' };
  }

  /** New requests are welcome. A failure here is a reason to send them elsewhere. */
  @Get('ready')
  ready() {
    return { status: 'ok' };
  }
}
