import { Controller, Delete, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiQuery, ApiTags } from '@nestjs/swagger';
import { FromCaller, type Caller } from '../access/caller.js';
import { ChatError } from '../errors/chat-error.js';
import { RUN_STATUSES, type RunState, type RunStatus } from './run.js';
import { RunsService } from './runs.service.js';

/** Runs of one list. */
const MAX_LISTED = 100;

@ApiTags('runs')
@Controller('v1/runs')
export class RunsController {
  constructor(private readonly runs: RunsService) {}

  @Get()
  @ApiOperation({
    summary: 'The runs of this key, the newest first',
    description: 'With Redis they are looked for among the 2,000 that were heard of last.',
  })
  @ApiQuery({ name: 'status', enum: RUN_STATUSES, required: false })
  @ApiQuery({ name: 'limit', type: 'integer', minimum: 1, maximum: MAX_LISTED, required: false })
  async list(
    @FromCaller() { owner }: Caller,
    @Query('status') status?: string,
    @Query('limit') limit?: string,
  ) {
    const options = { status: statusOf(status), limit: limitOf(limit) };
    return { object: 'list', data: await this.runs.list(owner, options) };
  }

  @Get(':id')
  @ApiOperation({
    summary: "A run's state",
    description:
      'How it ends is told at once; `ended_at`, and with it the usage, when its tokens are counted.',
  })
  async get(@Param('id') id: string, @FromCaller() { owner }: Caller): Promise<RunState> {
    return (await this.runs.get(id, owner)).state;
  }

  @Post(':id/cancel')
  @HttpCode(200)
  @ApiOperation({ summary: 'Stop a run; answers its state' })
  async cancel(@Param('id') id: string, @FromCaller() { owner }: Caller): Promise<RunState> {
    const run = await this.runs.get(id, owner);
    await run.cancel();
    return run.state;
  }

  @Delete(':id')
  @HttpCode(204)
  @ApiOperation({ summary: 'Stop a run, if it has not ended, and forget it' })
  async remove(@Param('id') id: string, @FromCaller() { owner }: Caller): Promise<void> {
    await this.runs.remove(await this.runs.get(id, owner));
  }
}

function statusOf(status: string | undefined): RunStatus | undefined {
  if (status === undefined || isStatus(status)) return status;
  const message = `status: expected one of ${RUN_STATUSES.join(', ')}`;
  throw new ChatError('invalid_request', message, { param: 'status' });
}

function isStatus(status: string): status is RunStatus {
  return RUN_STATUSES.includes(status as RunStatus);
}

function limitOf(text: string | undefined): number {
  const limit = Number(text ?? MAX_LISTED);
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_LISTED) return limit;
  const message = `limit: expected an integer from 1 to ${MAX_LISTED}`;
  throw new ChatError('invalid_request', message, { param: 'limit' });
}
