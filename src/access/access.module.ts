import { Module } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { HttpClient } from '../providers/http/http-client.js';
import { REDIS, type RedisConnection } from '../redis/redis-connection.js';
import { AccessGuard } from './access.guard.js';
import { Access } from './access.service.js';
import { Authentication } from './authentication.js';
import { MemoryTicketStore } from './tickets/memory.ticket-store.js';
import { RedisTicketStore } from './tickets/redis.ticket-store.js';
import { TICKET_STORE } from './tickets/ticket.store.js';
import { TicketsController } from './tickets/tickets.controller.js';
import { Tickets } from './tickets/tickets.service.js';

@Module({
  controllers: [TicketsController],
  providers: [
    Access,
    Authentication,
    HttpClient,
    Tickets,
    {
      provide: TICKET_STORE,
      inject: [REDIS],
      useFactory: (redis?: RedisConnection) =>
        redis ? new RedisTicketStore(redis) : new MemoryTicketStore(),
    },
    { provide: APP_GUARD, useClass: AccessGuard },
  ],
  exports: [Access, Tickets],
})
export class AccessModule {}
