import { Controller, Get, Inject, Param, Query, Req, Res, UseGuards } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import type { Request, Response } from 'express';
import { FromCaller, type Caller } from '../access/caller.js';
import { SchemaPipe } from '../chat/schema.pipe.js';
import { CONFIG, type Config } from '../config/config.js';
import { RefuseHead } from '../http/refuse-head.guard.js';
import { ApiProbe } from './doctor.openapi.js';
import { probeSchema, type ProbePlan } from './probe.schema.js';
import { ProbesService } from './probes.service.js';

/** What `sluice doctor` measures against: streams that need no provider. */
@ApiTags('doctor')
@Controller('v1/doctor')
export class DoctorController {
  constructor(
    private readonly probes: ProbesService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Get()
  @ApiOperation({ summary: 'What a stream depends on, and how this request arrived' })
  about(@Req() request: Request) {
    return {
      object: 'doctor',
      instance: this.probes.instance,
      heartbeat_ms: this.config.HEARTBEAT_MS,
      commit_after_ms: this.config.COMMIT_AFTER_MS,
      request: { http_version: request.httpVersion, via: request.get('via') ?? null },
    };
  }

  @Get('stream')
  @UseGuards(new RefuseHead())
  @ApiProbe()
  stream(
    @Query(new SchemaPipe(probeSchema)) plan: ProbePlan,
    @FromCaller() { owner }: Caller,
    @Res() response: Response,
  ) {
    this.probes.start(owner, plan, response);
  }

  @Get('probes/:id')
  @ApiOperation({ summary: 'When the client of such a stream was seen to leave' })
  probe(@Param('id') id: string, @FromCaller() { owner }: Caller) {
    const { state } = this.probes.find(owner, id);
    return { object: 'doctor.probe', id, instance: this.probes.instance, ...state };
  }
}
