import { Module } from '@nestjs/common';
import { RoutingModule } from '../routing/routing.module.js';
import { RunsService } from './runs.service.js';

@Module({ imports: [RoutingModule], providers: [RunsService], exports: [RunsService] })
export class RunsModule {}
