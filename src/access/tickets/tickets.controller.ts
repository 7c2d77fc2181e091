import { Controller, Post } from '@nestjs/common';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { FromCaller, type Caller } from '../caller.js';
import { Tickets } from './tickets.service.js';

@ApiTags('tickets')
@Controller('v1/tickets')
export class TicketsController {
  constructor(private readonly tickets: Tickets) {}

  @Post()
  @ApiOperation({ summary: 'A ticket, for EventSource to start and view one run without a key' })
  @ApiResponse({
    status: 201,
    description: 'It starts a run within `expires_in` seconds and stays good for viewing that run.',
    schema: {
      type: 'object',
      properties: { ticket: { type: 'string' }, expires_in: { type: 'integer' } },
    },
  })
  create(@FromCaller() caller: Caller) {
    return this.tickets.issue(caller);
  }
}
