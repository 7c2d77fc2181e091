import { Module } from '@nestjs/common';
import { RoutingModule } from '../routing/routing.module.js';
import { RunsModule } from '../runs/runs.module.js';
import { HealthController } from './health.controller.js';

@Module({ imports: [RunsModule, RoutingModule], controllers: [HealthController] })
export class HealthModule {}
