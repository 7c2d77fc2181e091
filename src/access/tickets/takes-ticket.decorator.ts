import { applyDecorators, SetMetadata } from '@nestjs/common';
import { ApiSecurity } from '@nestjs/swagger';

export const TAKES_TICKET = 'access:ticket';

/** A route that lets in who has a ticket, in its query. */
export const TakesTicket = () =>
  applyDecorators(SetMetadata(TAKES_TICKET, true), ApiSecurity('ticket'));
