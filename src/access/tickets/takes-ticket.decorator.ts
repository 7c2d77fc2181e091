import { applyDecorators, SetMetadata } from '@nestjs/common';
import { ApiBearerAuth, ApiSecurity } from '@nestjs/swagger';

export const TAKES_TICKET = 'access:ticket';

/** A route that lets in who has a key or, in its query, a ticket. */
export const TakesTicket = () =>
  applyDecorators(
    SetMetadata(TAKES_TICKET, true),
    ApiBearerAuth(),
    ...['api-key', 'x-api-key', 'ticket'].map((name) => ApiSecurity(name)),
  );
