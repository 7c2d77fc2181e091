import { Module } from '@nestjs/common';
import { RequestTelemetry } from './request.telemetry.js';

@Module({ providers: [RequestTelemetry] })
export class HttpModule {}
